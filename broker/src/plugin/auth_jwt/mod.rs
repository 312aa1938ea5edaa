//! `rmqtt-auth-jwt`: clients show a JSON Web Token (RFC 7519), which says who they are, until when, and
//! what they may do.
//!
//! A client without a token is none of its business. A token that is not signed with the key, has
//! expired or does not claim what is expected keeps its client out. The claims `superuser` and `acl`
//! say what the client may do, `exp` until when.
//!
//! Checking a signature is arithmetic of well under a millisecond, once per CONNECT, so it is done where
//! the client is served.

mod claims;
#[cfg(test)]
mod signed;
mod token;

use super::{
    AccessRules, Credentials, Decision, Denial, Extensions, Grant, Plugin, Prepared,
    authentication::Authenticator, file, granted_rules,
};
use claims::Expectations;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};
use token::Key;

/// The secret in the example file, which everybody knows.
const EXAMPLE_SECRET: &str = "REPLACE-ME";

pub(super) struct AuthJwt;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    from: Carrier,
    encrypt: Encryption,
    /// Any value, so that a wrong one is not shown with the error.
    hmac_secret: Option<toml::Value>,
    hmac_base64: bool,
    public_key: Option<PathBuf>,
    disconnect_if_expiry: bool,
    disconnect_if_pub_rejected: bool,
    validate_claims: BTreeMap<String, toml::Value>,
}

impl Default for File {
    fn default() -> Self {
        Self {
            from: Carrier::Password,
            encrypt: Encryption::HmacBased,
            hmac_secret: None,
            hmac_base64: false,
            public_key: None,
            disconnect_if_expiry: false,
            disconnect_if_pub_rejected: true,
            validate_claims: BTreeMap::new(),
        }
    }
}

/// The field of CONNECT that has the token.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Carrier {
    Username,
    Password,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Encryption {
    HmacBased,
    PublicKey,
}

impl File {
    fn key(&self) -> Result<Key, String> {
        match self.encrypt {
            Encryption::HmacBased => self
                .hmac_key()
                .map_err(|problem| format!("hmac_secret: {problem}")),
            Encryption::PublicKey => {
                let path = self.public_key.as_deref();
                let path = path.ok_or("public_key: the path of a PEM file is missing")?;
                public_key(path).map_err(|problem| format!("public_key: {problem}"))
            }
        }
    }

    fn hmac_key(&self) -> Result<Key, String> {
        let secret = self.hmac_secret.as_ref().ok_or("it is missing")?;
        let secret = secret.as_str().ok_or("it has to be a text")?;
        match secret {
            "" => Err("it is empty".into()),
            EXAMPLE_SECRET => Err("it is still that of the example, which everybody knows".into()),
            _ if self.hmac_base64 => Key::hmac_base64(secret),
            _ => Ok(Key::hmac(secret.as_bytes())),
        }
    }

    fn shown(&self) -> Value {
        json!({
            "from": self.from,
            "encrypt": self.encrypt,
            "hmac_secret": self.hmac_secret.as_ref().map(|_| "hidden"),
            "hmac_base64": self.hmac_base64,
            "public_key": self.public_key,
            "disconnect_if_expiry": self.disconnect_if_expiry,
            "disconnect_if_pub_rejected": self.disconnect_if_pub_rejected,
            "validate_claims": self.validate_claims,
        })
    }
}

fn public_key(path: &Path) -> Result<Key, String> {
    let pem = file::text(path)?;
    let shown = path.display();
    if pem.is_empty() {
        return Err(format!("{shown}: there is no such file, or it is empty"));
    }
    Key::public(&pem).map_err(|problem| format!("{shown}: {problem}"))
}

struct PreparedJwt {
    checker: Arc<TokenChecker>,
    config: Value,
}

impl Plugin for AuthJwt {
    fn name(&self) -> &'static str {
        "rmqtt-auth-jwt"
    }

    fn description(&self) -> &'static str {
        "Clients are let in by JSON Web Tokens, which also say what they may do"
    }

    fn prepare(&self, text: &str) -> Result<Box<dyn Prepared>, String> {
        let settings: File = file::parse(text)?;
        let checker = TokenChecker {
            key: settings.key()?,
            carrier: settings.from,
            expectations: Expectations::read(&settings.validate_claims)?,
            disconnects_expired: settings.disconnect_if_expiry,
            disconnects_publishers: settings.disconnect_if_pub_rejected,
        };
        Ok(Box::new(PreparedJwt {
            checker: Arc::new(checker),
            config: settings.shown(),
        }))
    }
}

impl Prepared for PreparedJwt {
    fn config(&self) -> Value {
        self.config.clone()
    }

    fn extend(&self, extensions: &mut Extensions) {
        extensions.authenticators.push(self.checker.clone());
    }
}

struct TokenChecker {
    key: Key,
    carrier: Carrier,
    expectations: Expectations,
    disconnects_expired: bool,
    disconnects_publishers: bool,
}

impl Authenticator for TokenChecker {
    fn decide(&self, credentials: Arc<Credentials>) -> BoxFuture<'static, Decision> {
        let decision = self.look_at(&credentials, SystemTime::now());
        Box::pin(std::future::ready(decision))
    }
}

impl TokenChecker {
    fn look_at(&self, of: &Credentials, now: SystemTime) -> Decision {
        let token = match self.carrier {
            Carrier::Username => of.user_name.as_deref().map(str::as_bytes),
            Carrier::Password => of.password.as_deref(),
        };
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            return Decision::Pass;
        };
        let claims = self.key.claims(token);
        let claims = claims.filter(|claims| self.expectations.are_met(claims, of, now));
        let Some(claims) = claims else {
            return Decision::Deny(Denial::BadCredentials);
        };
        match self.grant(&claims) {
            Ok(grant) => Decision::Admit(grant),
            Err(problem) => {
                let client_id = &of.client_id;
                tracing::warn!(client_id, problem, "a token's acl cannot be kept");
                Decision::Deny(Denial::NotAuthorized)
            }
        }
    }

    fn grant(&self, claims: &Map<String, Value>) -> Result<Grant, String> {
        let rules = claims.get("acl").map(granted_rules::read).transpose()?;
        let rules = rules.map(|rules| AccessRules {
            rules,
            disconnects_publishers: self.disconnects_publishers,
        });
        let expiry = claims.get("exp").and_then(claims::time);
        Ok(Grant {
            superuser: claims.get("superuser") == Some(&Value::Bool(true)),
            rules: rules.map(Arc::new),
            until: expiry.filter(|_| self.disconnects_expired),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::{Access, Verdict, Who};
    use jsonwebtoken::{EncodingKey, Header, encode};
    use std::time::Duration;

    pub(super) fn credentials(user_name: Option<&str>, password: Option<&str>) -> Credentials {
        Credentials {
            client_id: "client".into(),
            user_name: user_name.map(Into::into),
            password: password.map(Into::into),
            peer: ([127, 0, 0, 1], 1).into(),
            protocol_version: 5,
        }
    }

    fn token(claims: &Value) -> String {
        let key = EncodingKey::from_secret(b"secret");
        encode(&Header::default(), claims, &key).expect("a token")
    }

    async fn decide(settings: &str, credentials: Credentials) -> Decision {
        let text = format!("hmac_secret = 'secret'\n{settings}");
        let prepared = AuthJwt.prepare(&text).expect("good settings");
        let mut extensions = Extensions::default();
        prepared.extend(&mut extensions);
        crate::plugin::decide(&extensions.authenticators, credentials).await
    }

    async fn granted(settings: &str, claims: &Value) -> Grant {
        match decide(settings, credentials(None, Some(&token(claims)))).await {
            Decision::Admit(grant) => grant,
            _ => panic!("not admitted: {claims}"),
        }
    }

    async fn denied(settings: &str, claims: &Value) -> Denial {
        match decide(settings, credentials(None, Some(&token(claims)))).await {
            Decision::Deny(denial) => denial,
            _ => panic!("not denied: {claims}"),
        }
    }

    #[tokio::test]
    async fn the_token_is_looked_for_where_the_settings_say() {
        let token = token(&json!({}));
        let in_password = credentials(Some("user"), Some(&token));
        let in_user_name = credentials(Some(&token), None);
        for (settings, credentials) in [
            ("", in_password.clone()),
            ("from = 'password'", in_password),
            ("from = 'username'", in_user_name),
        ] {
            let decision = decide(settings, credentials).await;
            assert!(matches!(decision, Decision::Admit(_)), "{settings}");
        }
    }

    #[tokio::test]
    async fn a_client_without_a_token_is_left_to_others() {
        for password in [None, Some("")] {
            let decision = decide("", credentials(Some("user"), password)).await;
            assert!(matches!(decision, Decision::Pass));
        }
    }

    #[tokio::test]
    async fn what_is_no_good_token_keeps_its_client_out() {
        let decision = decide("", credentials(None, Some("password"))).await;
        assert!(matches!(decision, Decision::Deny(Denial::BadCredentials)));
        let denial = denied("", &json!({"exp": 1})).await;
        assert_eq!(denial, Denial::BadCredentials);
        let denial = denied("validate_claims.sub = '%c'", &json!({"sub": "x"})).await;
        assert_eq!(denial, Denial::BadCredentials);
    }

    #[tokio::test]
    async fn only_a_true_superuser_is_one() {
        for (claim, expected) in [
            (json!(true), true),
            (json!(false), false),
            (json!("true"), false),
            (json!(1), false),
        ] {
            let grant = granted("", &json!({ "superuser": claim })).await;
            assert_eq!(grant.superuser, expected, "{claim}");
        }
        assert!(!granted("", &json!({})).await.superuser);
    }

    #[tokio::test]
    async fn access_rules_come_with_the_token() {
        let acl = json!([{"permission": "deny", "action": "publish", "topic": "a"}]);
        let grant = granted("", &json!({ "acl": acl })).await;
        let rules = grant.rules.expect("rules");
        assert!(rules.disconnects_publishers);
        let who = Who {
            client_id: "client",
            user_name: None,
            ip: [127, 0, 0, 1].into(),
        };
        assert_eq!(rules.verdict(&who, Access::Publish("a")), Verdict::Denied);
        let lenient = "disconnect_if_pub_rejected = false";
        let grant = granted(lenient, &json!({ "acl": acl })).await;
        assert!(!grant.rules.expect("rules").disconnects_publishers);
        assert!(granted("", &json!({})).await.rules.is_none());
    }

    #[tokio::test]
    async fn a_client_whose_rules_cannot_be_kept_is_kept_out() {
        let denial = denied("", &json!({"acl": "everything"})).await;
        assert_eq!(denial, Denial::NotAuthorized);
    }

    #[tokio::test]
    async fn a_client_has_to_leave_with_its_token_when_the_settings_say_so() {
        let expiry = 4_000_000_000_u64;
        let claims = json!({ "exp": expiry });
        assert_eq!(granted("", &claims).await.until, None);
        let until = granted("disconnect_if_expiry = true", &claims).await.until;
        let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(expiry);
        assert_eq!(until, Some(expected));
    }

    #[test]
    fn impossible_settings_are_refused() {
        for wrong in [
            "",
            "hmac_secret = ''",
            "hmac_secret = 12345",
            "hmac_secret = 'REPLACE-ME'",
            "hmac_secret = '?'\nhmac_base64 = true",
            "hmac_secret = 'x'\nfrom = 'topic'",
            "hmac_secret = 'x'\nsecret = 'y'",
            "encrypt = 'public-key'\nhmac_secret = 'x'",
            "encrypt = 'public-key'\npublic_key = '/nowhere.pem'",
        ] {
            let problem = AuthJwt.prepare(wrong).err().expect(wrong);
            assert!(!problem.contains("12345"), "{problem}");
        }
    }

    #[test]
    fn a_public_key_is_read_from_its_file() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("key.pem");
        std::fs::write(&path, signed::RSA_KEY).expect("a file");
        let path = path.display();
        let text = format!("encrypt = 'public-key'\npublic_key = '{path}'");
        assert!(AuthJwt.prepare(&text).is_ok());
    }

    #[test]
    fn the_secret_is_not_shown() {
        let prepared = AuthJwt.prepare("hmac_secret = 'very secret'");
        let shown = prepared.expect("good settings").config().to_string();
        assert!(!shown.contains("very secret"), "{shown}");
    }
}
