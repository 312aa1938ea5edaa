//! One exchange: client-first, server-first, client-final, server-final (RFC 5802 §5).

use super::{
    messages::{ClientFinal, ClientFirst},
    users::Users,
    verifier::Verifier,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use subtle::{Choice, ConstantTimeEq};

/// Why a client is not let in. Which user exists is not to be told apart from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A message is none of SCRAM's, or comes at the wrong time.
    Malformed,
    /// The proof is wrong, or there is no such user.
    NotProved,
}

/// The server's side of one exchange. Any other order of calls than [`first`](ServerExchange::first), then
/// [`last`](ServerExchange::last) is a failure of the client.
#[derive(Debug)]
pub struct ServerExchange {
    /// The server's part of the nonce; taken when it is used.
    nonce: Option<String>,
    challenged: Option<Challenged>,
}

#[derive(Debug)]
struct Challenged {
    user_name: String,
    verifier: Verifier,
    is_known: Choice,
    gs2_header: String,
    client_first_bare: String,
    server_first: String,
    nonce: String,
}

impl ServerExchange {
    /// `nonce`: printable ASCII without a comma, and not to be guessed.
    pub fn new(nonce: String) -> ServerExchange {
        ServerExchange {
            nonce: Some(nonce),
            challenged: None,
        }
    }

    /// Takes client-first and answers server-first, the same for a user who does not exist.
    ///
    /// # Errors
    /// The message is none, or not the first.
    pub fn first(&mut self, message: &[u8], users: &Users) -> Result<Vec<u8>, Failure> {
        let own = self.nonce.take().ok_or(Failure::Malformed)?;
        let first = ClientFirst::read(message).ok_or(Failure::Malformed)?;
        let known = users.get(&first.user_name).cloned();
        let is_known = Choice::from(u8::from(known.is_some()));
        let verifier = known.unwrap_or_else(|| users.nobody(&first.user_name));
        let nonce = format!("{}{own}", first.nonce);
        let salt = BASE64_STANDARD.encode(&verifier.salt);
        let server_first = format!("r={nonce},s={salt},i={}", verifier.iterations);
        self.challenged = Some(Challenged {
            gs2_header: first.gs2_header.to_owned(),
            client_first_bare: first.bare.to_owned(),
            server_first: server_first.clone(),
            user_name: first.user_name,
            verifier,
            is_known,
            nonce,
        });
        Ok(server_first.into_bytes())
    }

    /// Takes client-final; the user's name, and server-final.
    ///
    /// # Errors
    /// The message is none, or the client has not proved that it knows the password.
    pub fn last(&mut self, message: &[u8]) -> Result<(String, Vec<u8>), Failure> {
        let challenged = self.challenged.take().ok_or(Failure::Malformed)?;
        let last = ClientFinal::read(message).ok_or(Failure::Malformed)?;
        let bound = BASE64_STANDARD.encode(&challenged.gs2_header);
        let is_same_nonce = last.nonce.as_bytes().ct_eq(challenged.nonce.as_bytes());
        if last.channel_binding != bound || !bool::from(is_same_nonce) {
            return Err(Failure::NotProved);
        }
        let auth_message = [
            challenged.client_first_bare.as_bytes(),
            b",",
            challenged.server_first.as_bytes(),
            b",",
            last.without_proof.as_bytes(),
        ];
        let is_proved = challenged.verifier.is_proved_by(&last.proof, &auth_message);
        if !bool::from(is_proved & challenged.is_known) {
            return Err(Failure::NotProved);
        }
        let signature = challenged.verifier.signature(&auth_message);
        let server_final = format!("v={}", BASE64_STANDARD.encode(signature));
        Ok((challenged.user_name, server_final.into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const LAST: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    fn users() -> Users {
        let salt = BASE64_STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==");
        let verifier = Verifier::of("pencil", &salt.expect("base64"), 4_096);
        let mut users = Users::new([7; 32]);
        assert!(users.insert("user".into(), verifier.expect("a password")));
        users
    }

    fn challenged() -> ServerExchange {
        let mut exchange = ServerExchange::new(NONCE.into());
        exchange.first(FIRST, &users()).expect("server-first");
        exchange
    }

    /// RFC 7677 §3
    #[test]
    fn the_exchange_of_the_rfc() {
        let mut exchange = ServerExchange::new(NONCE.into());
        let first = exchange.first(FIRST, &users()).expect("server-first");
        assert_eq!(
            String::from_utf8_lossy(&first),
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        let (user_name, last) = exchange.last(LAST.as_bytes()).expect("server-final");
        assert_eq!(user_name, "user");
        assert_eq!(
            String::from_utf8_lossy(&last),
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
        );
    }

    #[test]
    fn a_proof_that_is_wrong_in_any_byte_is_refused() {
        for at in 0..LAST.len() {
            let mut wrong = LAST.as_bytes().to_vec();
            wrong[at] ^= 1;
            assert!(challenged().last(&wrong).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_proof_is_good_once() {
        let mut exchange = challenged();
        assert!(exchange.last(LAST.as_bytes()).is_ok());
        assert_eq!(exchange.last(LAST.as_bytes()), Err(Failure::Malformed));
        assert_eq!(exchange.first(FIRST, &users()), Err(Failure::Malformed));
        let mut another = ServerExchange::new("another".into());
        another.first(FIRST, &users()).expect("server-first");
        assert_eq!(another.last(LAST.as_bytes()), Err(Failure::NotProved));
    }

    #[test]
    fn the_last_message_before_the_first_is_refused() {
        let mut exchange = ServerExchange::new(NONCE.into());
        assert_eq!(exchange.last(LAST.as_bytes()), Err(Failure::Malformed));
    }

    #[test]
    fn a_user_who_does_not_exist_is_challenged_like_any_other_and_the_same_each_time() {
        let challenge = |name: &str| {
            let mut exchange = ServerExchange::new(NONCE.into());
            let first = format!("n,,n={name},r=abc");
            let answer = exchange.first(first.as_bytes(), &users());
            (exchange, String::from_utf8(answer.expect("server-first")))
        };
        let (mut exchange, first) = challenge("nobody");
        assert_eq!(first, challenge("nobody").1);
        assert_ne!(first, challenge("no-one").1);
        assert!(first.expect("text").ends_with(",i=4096"));
        let last = LAST.replace("rOprNGfwEbeRWgbNEkqO", "abc");
        assert_eq!(exchange.last(last.as_bytes()), Err(Failure::NotProved));
    }
}
