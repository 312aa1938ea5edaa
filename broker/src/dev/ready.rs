//! Whether the members answer that they are ready, asked as a load balancer would.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::time::sleep;

use super::plan::Plan;
use crate::health::Question;

/// Between two questions to a member that is not ready.
const EVERY: Duration = Duration::from_millis(200);

/// Completes when every member has answered that it is ready. No answer is "not yet".
pub(super) async fn all(plan: &Plan) {
    for member in plan.members() {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, member.http_port));
        let question = Question::at(address, plan.tls_certificate.clone());
        while question.ask().await.is_err() {
            sleep(EVERY).await;
        }
    }
}
