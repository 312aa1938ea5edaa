//! Who signed a token. The key that is configured says by which algorithms; what the token says about
//! itself can only be one of these. So there is no token without a signature, and none that is "signed"
//! with the public key taken for a secret.

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};

/// What tokens have to be signed with.
pub(super) struct Key {
    key: DecodingKey,
    validation: Validation,
}

impl Key {
    /// HS256, HS384 or HS512 with this secret.
    pub fn hmac(secret: &[u8]) -> Key {
        let algorithms = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
        Key::new(DecodingKey::from_secret(secret), &algorithms)
    }

    /// As [`Key::hmac`], the secret in base64.
    ///
    /// # Errors
    /// It is no base64.
    pub fn hmac_base64(secret: &str) -> Result<Key, String> {
        let algorithms = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
        let key = DecodingKey::from_base64_secret(secret).map_err(|_| "it is no base64")?;
        Ok(Key::new(key, &algorithms))
    }

    /// With the private key that belongs to this public key in PEM: RS256, RS384, RS512 for RSA, ES256
    /// and ES384 for the curves P-256 and P-384.
    ///
    /// # Errors
    /// It is none of these keys.
    pub fn public(pem: &str) -> Result<Key, &'static str> {
        if pem.contains("PRIVATE KEY") {
            return Err("it is a private key, which only the issuer of tokens may have");
        }
        if let Ok(key) = DecodingKey::from_rsa_pem(pem.as_bytes()) {
            let algorithms = [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512];
            return Ok(Key::new(key, &algorithms));
        }
        let key = DecodingKey::from_ec_pem(pem.as_bytes())
            .map_err(|_| "it is no public key of RSA, P-256 or P-384 in PEM")?;
        Ok(Key::new(key, &[Algorithm::ES256, Algorithm::ES384]))
    }

    /// Only the signature is looked at here; `claims` knows what the operator expects.
    fn new(key: DecodingKey, algorithms: &[Algorithm]) -> Key {
        let mut validation = Validation::default();
        validation.algorithms = algorithms.to_vec();
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        Key { key, validation }
    }

    /// The claims of a token. `None`: it is none, or not signed with this key.
    pub fn claims(&self, token: &[u8]) -> Option<Map<String, Value>> {
        let decoded = jsonwebtoken::decode(token, &self.key, &self.validation);
        decoded.ok().map(|decoded| decoded.claims)
    }
}

#[cfg(test)]
mod tests {
    use super::super::signed::{P256_KEY, P256_TOKEN, P384_KEY, P384_TOKEN, RSA_KEY, RSA_TOKEN};
    use super::*;
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::json;

    fn hmac_token(algorithm: Algorithm, secret: &[u8]) -> String {
        let key = EncodingKey::from_secret(secret);
        encode(&Header::new(algorithm), &json!({"sub": "s"}), &key).expect("a token")
    }

    fn accepts(key: &Key, token: &str) -> bool {
        key.claims(token.as_bytes())
            .is_some_and(|claims| claims["sub"] == "s")
    }

    #[test]
    fn each_algorithm_of_a_kind_of_key_is_known() {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let token = hmac_token(algorithm, b"secret");
            assert!(accepts(&Key::hmac(b"secret"), &token), "{algorithm:?}");
            let key = Key::hmac_base64("c2VjcmV0").expect("base64");
            assert!(accepts(&key, &token), "{algorithm:?}");
        }
        for (key, token) in [
            (RSA_KEY, RSA_TOKEN),
            (P256_KEY, P256_TOKEN),
            (P384_KEY, P384_TOKEN),
        ] {
            let key = Key::public(key).expect("a public key");
            assert!(accepts(&key, token), "{token}");
        }
    }

    #[test]
    fn a_token_of_another_key_or_changed_on_the_way_is_none() {
        let key = Key::hmac(b"secret");
        assert!(!accepts(&key, &hmac_token(Algorithm::HS256, b"other")));
        let token = hmac_token(Algorithm::HS256, b"secret");
        let (signed, signature) = token.rsplit_once('.').expect("two dots");
        let claims = signed.rsplit_once('.').expect("a dot").0;
        // {"sub":"x"}
        assert!(!accepts(
            &key,
            &format!("{claims}.eyJzdWIiOiJ4In0.{signature}")
        ));
        for wrong in ["", "a.b", "a.b.c", signed, "\u{0}"] {
            assert!(key.claims(wrong.as_bytes()).is_none(), "{wrong}");
        }
        let rsa = Key::public(RSA_KEY).expect("a public key");
        assert!(!accepts(&rsa, P256_TOKEN) && !accepts(&rsa, P384_TOKEN));
        let p256 = Key::public(P256_KEY).expect("a public key");
        assert!(!accepts(&p256, P384_TOKEN) && !accepts(&p256, RSA_TOKEN));
    }

    #[test]
    fn a_token_does_not_choose_its_algorithm() {
        // {"alg":"none"} {"sub":"s"}
        let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzIn0.";
        for key in [Key::hmac(b"secret"), Key::public(RSA_KEY).expect("a key")] {
            assert!(!accepts(&key, unsigned));
        }
        let rsa = Key::public(RSA_KEY).expect("a key");
        let forged = hmac_token(Algorithm::HS256, RSA_KEY.as_bytes());
        assert!(!accepts(&rsa, &forged));
        assert!(!accepts(&Key::hmac(RSA_KEY.as_bytes()), RSA_TOKEN));
    }

    #[test]
    fn what_is_no_public_key_is_refused() {
        let private = RSA_KEY.replace("PUBLIC KEY", "PRIVATE KEY");
        for wrong in ["", "secret", &private, &RSA_KEY[..200]] {
            assert!(Key::public(wrong).is_err(), "{wrong}");
        }
        assert!(Key::hmac_base64("?").is_err());
    }
}
