//! The client's two messages (RFC 5802 §7), read.

use super::{
    users::prepared,
    verifier::{Key, key},
};

/// `n,,n=user,r=nonce`
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFirst<'a> {
    /// The header in front, which the client repeats.
    pub gs2_header: &'a str,
    /// What follows it.
    pub bare: &'a str,
    pub user_name: String,
    pub nonce: &'a str,
}

/// `c=biws,r=nonce,p=proof`
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFinal<'a> {
    /// Base64 of the header.
    pub channel_binding: &'a str,
    pub nonce: &'a str,
    pub proof: Key,
    /// The message up to the proof.
    pub without_proof: &'a str,
}

impl<'a> ClientFirst<'a> {
    /// `None`: it is none, or it asks for channel binding, for another user's identity, or for an
    /// extension that has to be understood.
    pub fn read(message: &'a [u8]) -> Option<ClientFirst<'a>> {
        let message = std::str::from_utf8(message).ok()?;
        let mut fields = message.splitn(3, ',');
        let (flag, authorization, bare) = (fields.next()?, fields.next()?, fields.next()?);
        if !matches!(flag, "n" | "y") {
            return None;
        }
        let mut fields = bare.split(',');
        let user_name = user_name(fields.next()?.strip_prefix("n=")?)?;
        let nonce = nonce(fields.next()?)?;
        let acts_for = match authorization {
            "" => None,
            other => Some(unescaped(other.strip_prefix("a=")?)?),
        };
        if acts_for.is_some_and(|name| name != user_name) {
            return None;
        }
        Some(ClientFirst {
            gs2_header: &message[..message.len() - bare.len()],
            bare,
            user_name,
            nonce,
        })
    }
}

impl<'a> ClientFinal<'a> {
    /// `None`: it is none.
    pub fn read(message: &'a [u8]) -> Option<ClientFinal<'a>> {
        let message = std::str::from_utf8(message).ok()?;
        let (without_proof, proof) = message.rsplit_once(",p=")?;
        let mut fields = without_proof.split(',');
        Some(ClientFinal {
            channel_binding: fields.next()?.strip_prefix("c=")?,
            nonce: nonce(fields.next()?)?,
            proof: key(proof)?,
            without_proof,
        })
    }
}

fn nonce(field: &str) -> Option<&str> {
    let nonce = field.strip_prefix("r=")?;
    let is_printable = |byte: u8| byte.is_ascii_graphic() && byte != b',';
    (!nonce.is_empty() && nonce.bytes().all(is_printable)).then_some(nonce)
}

/// A name as it is compared: prepared (RFC 4013), and not empty.
fn user_name(text: &str) -> Option<String> {
    prepared(&unescaped(text)?)
}

/// `=2C` is a comma and `=3D` an equals sign; no other escape exists.
fn unescaped(text: &str) -> Option<String> {
    let mut parts = text.split('=');
    let mut name = parts.next()?.to_owned();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        name.push(match code {
            "2C" => ',',
            "3D" => '=',
            _ => return None,
        });
        name.push_str(rest);
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_message_is_read() {
        let first = ClientFirst::read(b"n,,n=us=2Ce=3Dr,r=abc,x=extension").expect("it is one");
        assert_eq!(first.gs2_header, "n,,");
        assert_eq!(first.bare, "n=us=2Ce=3Dr,r=abc,x=extension");
        assert_eq!((&*first.user_name, first.nonce), ("us,e=r", "abc"));
        let first = ClientFirst::read(b"y,a=user,n=user,r=abc").expect("it is one");
        assert_eq!(first.gs2_header, "y,a=user,");
    }

    #[test]
    fn what_is_no_first_message_is_refused() {
        for wrong in [
            &b""[..],
            b"n,",
            b"n,,n=user",
            b"n,,r=abc,n=user",
            b"n,,n=,r=abc",
            b"n,,n=user,r=",
            b"n,,n=user,r=a\x7f",
            b"n,,n=us=2cer,r=abc",
            b"n,,n=us=,r=abc",
            b"n,,n=\xff,r=abc",
            // An extension that has to be understood, channel binding, somebody else's identity.
            b"n,,m=x,n=user,r=abc",
            b"p=tls-unique,,n=user,r=abc",
            b"n,a=admin,n=user,r=abc",
        ] {
            let text = String::from_utf8_lossy(wrong);
            assert_eq!(ClientFirst::read(wrong), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_final_message_is_refused() {
        let proof = "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let good = format!("c=biws,r=abc,{proof}");
        assert!(ClientFinal::read(good.as_bytes()).is_some());
        for wrong in [
            String::new(),
            "c=biws,r=abc".to_owned(),
            "c=biws,r=abc,p=short".to_owned(),
            format!("r=abc,c=biws,{proof}"),
            format!("c=biws,{proof}"),
            format!("c=biws,r=,{proof}"),
        ] {
            assert_eq!(ClientFinal::read(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
