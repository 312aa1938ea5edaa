//! Addresses to listen on, and networks.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::{Input, Raw, Value, quoted};
use crate::config::origin::Problem;
use crate::config::settings::Range;

impl Value for SocketAddr {
    fn read(&mut self, input: &Input, _range: Option<Range>) -> Result<(), Vec<Problem>> {
        let Some(text) = input.text() else {
            return Err(vec![input.expected("an address such as \"0.0.0.0:1883\"")]);
        };
        *self = listen_address(text).map_err(|message| vec![input.problem(message)])?;
        Ok(())
    }

    fn show(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }

    fn kind(&self) -> String {
        "address".to_owned()
    }
}

/// `ip:port`; the one name it knows is `localhost`, because a listener that depends on the name
/// service would open another port on another day.
fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    numeric.parse().map_err(|_| {
        format!(
            "expected an IP address and a port, such as \"0.0.0.0:1883\" or \"[::]:1883\", found {text:?}"
        )
    })
}

impl Value for Vec<IpNet> {
    fn read(&mut self, input: &Input, _range: Option<Range>) -> Result<(), Vec<Problem>> {
        *self = read_list(input, "networks", network)?;
        Ok(())
    }

    fn show(&self) -> Option<String> {
        let networks: Vec<_> = self.iter().map(|net| quoted(&net.to_string())).collect();
        Some(format!("[{}]", networks.join(", ")))
    }

    fn kind(&self) -> String {
        "list of networks".to_owned()
    }
}

fn network(input: &Input) -> Result<IpNet, Vec<Problem>> {
    let wanted = "a network such as \"10.0.0.0/8\", or one address";
    let text = input.text().ok_or_else(|| vec![input.expected(wanted)])?;
    let text = text.trim();
    let single = text.parse::<IpAddr>().map(IpNet::from);
    text.parse()
        .or(single)
        .map_err(|_| vec![input.problem(format!("expected {wanted}, found {text:?}"))])
}

/// Reads each element of a list, and says what is wrong with every one of them. Outside of the
/// file a list is written with commas.
pub(super) fn read_list<T>(
    input: &Input,
    what: &str,
    read: impl Fn(&Input) -> Result<T, Vec<Problem>>,
) -> Result<Vec<T>, Vec<Problem>> {
    let elements =
        elements(input).ok_or_else(|| vec![input.expected(&format!("a list of {what}"))])?;
    let mut values = Vec::with_capacity(elements.len());
    let mut problems = Vec::new();
    for element in &elements {
        match read(element) {
            Ok(value) => values.push(value),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() {
        Ok(values)
    } else {
        Err(problems)
    }
}

fn elements(input: &Input) -> Option<Vec<Input>> {
    match &input.raw {
        Raw::List(elements) => Some(elements.clone()),
        Raw::Word(text) | Raw::Text(text) => Some(split(input, text)),
        _ => None,
    }
}

fn split(input: &Input, text: &str) -> Vec<Input> {
    if text.trim().is_empty() {
        return Vec::new();
    }
    let element = |part: &str| Input {
        at: input.at.clone(),
        raw: Raw::Word(part.trim().to_owned()),
    };
    text.split(',').map(element).collect()
}
