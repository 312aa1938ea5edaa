//! What the claims of a token have to say for its client to be let in.

use crate::plugin::{Credentials, placeholder};
use serde_json::{Map, Value};
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

/// How far the clock of the issuer may be ahead of ours.
const CLOCK_AHEAD_MAX: Duration = Duration::from_secs(5);

/// `validate_claims`.
#[derive(Default)]
pub(super) struct Expectations {
    expiry: Attention,
    not_before: Attention,
    /// Names of claims, and the values of which one has to be there.
    values: Vec<(String, Vec<String>)>,
}

/// How a claim about time is looked at.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Attention {
    /// Not at all.
    Ignored,
    /// It has to be kept if it is there.
    #[default]
    WhenGiven,
    /// It has to be there, too.
    Required,
}

impl Expectations {
    /// Reads the settings.
    ///
    /// # Errors
    /// Which one is wrong.
    pub fn read(settings: &BTreeMap<String, toml::Value>) -> Result<Expectations, String> {
        let mut expectations = Expectations::default();
        for (name, value) in settings {
            let wrong = |what: &str| format!("validate_claims.{name}: it has to be {what}");
            match name.as_str() {
                "exp" | "nbf" => {
                    let attention = match value.as_bool() {
                        Some(true) => Attention::Required,
                        Some(false) => Attention::Ignored,
                        None => return Err(wrong("true or false")),
                    };
                    if name == "exp" {
                        expectations.expiry = attention;
                    } else {
                        expectations.not_before = attention;
                    }
                }
                _ => {
                    let values = texts_of_setting(value)
                        .ok_or_else(|| wrong("a text or a list of texts"))?;
                    expectations.values.push((name.clone(), values));
                }
            }
        }
        Ok(expectations)
    }

    /// Whether the claims say all that is expected of this client.
    pub fn are_met(&self, claims: &Map<String, Value>, of: &Credentials, now: SystemTime) -> bool {
        let expiry = |expiry| expiry > now;
        let not_before = |begin| begin <= now + CLOCK_AHEAD_MAX;
        self.expiry.is_satisfied(claims.get("exp"), expiry)
            && self.not_before.is_satisfied(claims.get("nbf"), not_before)
            && self.values.iter().all(|(name, expected)| {
                claims
                    .get(name)
                    .is_some_and(|claim| is_one_of(claim, expected, of))
            })
    }
}

impl Attention {
    fn is_satisfied(self, claim: Option<&Value>, rule: impl Fn(SystemTime) -> bool) -> bool {
        match (self, claim) {
            (Attention::Ignored, _) | (Attention::WhenGiven, None) => true,
            (Attention::Required, None) => false,
            (_, Some(claim)) => time(claim).is_some_and(rule),
        }
    }
}

/// A NumericDate (RFC 7519 §2): seconds since 1970.
pub(super) fn time(claim: &Value) -> Option<SystemTime> {
    let since = Duration::try_from_secs_f64(claim.as_f64()?).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(since)
}

fn texts_of_setting(value: &toml::Value) -> Option<Vec<String>> {
    match value {
        toml::Value::String(text) => Some(vec![text.clone()]),
        toml::Value::Array(list) => list
            .iter()
            .map(|value| value.as_str().map(str::to_owned))
            .collect(),
        _ => None,
    }
}

fn is_one_of(claim: &Value, expected: &[String], of: &Credentials) -> bool {
    let ip = of.peer.ip().to_canonical().to_string();
    let protocol = of.protocol_version.to_string();
    let user_name = of.user_name.as_deref();
    let values = [
        ("${clientid}", Some(&*of.client_id)),
        ("${username}", user_name),
        ("${ipaddr}", Some(&*ip)),
        ("${protocol}", Some(&*protocol)),
        ("%c", Some(&*of.client_id)),
        ("%u", user_name),
        ("%a", Some(&*ip)),
        ("%r", Some(&*protocol)),
    ];
    let said = texts(claim);
    expected
        .iter()
        .filter_map(|text| placeholder::filled(text, &values))
        .any(|text| said.contains(&text))
}

/// A claim as text; a list, such as `aud` may be, as each of its elements.
fn texts(claim: &Value) -> Vec<String> {
    match claim {
        Value::String(text) => vec![text.clone()],
        Value::Number(number) => vec![number.to_string()],
        Value::Bool(truth) => vec![truth.to_string()],
        Value::Array(list) => list
            .iter()
            .filter_map(|value| value.as_str().map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::auth_jwt::tests::credentials;
    use serde_json::json;

    const NOW_SECONDS: u64 = 1_000_000;

    fn are_met(settings: &str, claims: &Value) -> bool {
        let settings = toml::from_str(settings).expect("TOML");
        let expectations = Expectations::read(&settings).expect("good settings");
        let claims = claims.as_object().expect("an object");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW_SECONDS);
        expectations.are_met(claims, &credentials(Some("user"), None), now)
    }

    #[test]
    fn an_expired_token_is_refused() {
        for settings in ["", "exp = true"] {
            assert!(are_met(settings, &json!({"exp": NOW_SECONDS + 1})));
            assert!(!are_met(settings, &json!({"exp": NOW_SECONDS})));
            assert!(!are_met(settings, &json!({"exp": "later"})));
            assert!(!are_met(settings, &json!({"exp": -1})));
        }
        assert!(are_met("exp = false", &json!({"exp": 1})));
    }

    #[test]
    fn a_token_is_not_used_before_its_time() {
        for settings in ["", "nbf = true"] {
            assert!(are_met(settings, &json!({"nbf": NOW_SECONDS})));
            assert!(!are_met(settings, &json!({"nbf": NOW_SECONDS + 60})));
            assert!(!are_met(settings, &json!({"nbf": null})));
        }
        assert!(are_met("nbf = false", &json!({"nbf": NOW_SECONDS + 60})));
    }

    #[test]
    fn a_time_that_is_required_has_to_be_there() {
        assert!(are_met("", &json!({})));
        assert!(!are_met("exp = true", &json!({})));
        assert!(!are_met("nbf = true", &json!({})));
    }

    #[test]
    fn values_are_those_that_are_expected() {
        let settings = r#"iss = ["a", "b"]
            aud = "broker"
            level = "3""#;
        let good = json!({"iss": "b", "aud": ["other", "broker"], "level": 3});
        assert!(are_met(settings, &good));
        for name in ["iss", "aud", "level"] {
            let mut wrong = good.clone();
            wrong[name] = json!("x");
            assert!(!are_met(settings, &wrong), "{wrong}");
            let mut missing = good.clone();
            missing.as_object_mut().expect("an object").remove(name);
            assert!(!are_met(settings, &missing), "{missing}");
        }
    }

    #[test]
    fn placeholders_are_the_clients_own_values() {
        let settings = r#"sub = "%u/%c"
            clientid = "${clientid}"
            username = "${username}"
            ipaddr = "${ipaddr}"
            protocol = "${protocol}""#;
        let good = json!({"sub": "user/client", "clientid": "client", "username": "user",
            "ipaddr": "127.0.0.1", "protocol": 5});
        assert!(are_met(settings, &good));
        for name in ["sub", "clientid", "username", "ipaddr", "protocol"] {
            let mut wrong = good.clone();
            wrong[name] = json!("other");
            assert!(!are_met(settings, &wrong), "{wrong}");
        }
    }

    #[test]
    fn settings_of_the_wrong_kind_are_named() {
        for wrong in ["exp = 1", "iss = true", "aud = [1]"] {
            let settings = toml::from_str(wrong).expect("TOML");
            let problem = Expectations::read(&settings).err().expect(wrong);
            assert!(problem.starts_with("validate_claims."), "{problem}");
        }
    }
}
