//! The opening handshake of WebSocket (RFC 6455 §4.2), as a function of the request's bytes.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::digest;

/// A request header beyond this is not read to its end.
const REQUEST_BYTES_MAX: usize = 8 * 1024;
/// Header fields of a request at most.
const FIELDS_MAX: usize = 64;
/// §1.3: what is appended to the key.
const KEY_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The subprotocol's name [MQTT-6.0.0-3].
const SUBPROTOCOL: &str = "mqtt";

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Its header is not complete.
    Incomplete,
    /// `response` is sent, and the stream begins behind the first `request_bytes`.
    Accepted {
        request_bytes: usize,
        response: String,
    },
    /// `response` is sent, and the connection is closed.
    Refused { why: &'static str, response: String },
}

/// Judges what a client has sent so far, for a listener whose stream is at `path`.
pub(crate) fn answer(bytes: &[u8], path: &str) -> Answer {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(bytes) {
        Ok(httparse::Status::Partial) if bytes.len() <= REQUEST_BYTES_MAX => Answer::Incomplete,
        Ok(httparse::Status::Complete(len)) if len <= REQUEST_BYTES_MAX => {
            match accept_key(&request, path) {
                Ok(key) => Answer::Accepted {
                    request_bytes: len,
                    response: switching(&key),
                },
                Err(refusal) => refusal.into(),
            }
        }
        Ok(_) | Err(httparse::Error::TooManyHeaders) => Refusal(
            "431 Request Header Fields Too Large",
            "a header that is too large",
        )
        .into(),
        Err(_) => Refusal("400 Bad Request", "no HTTP request").into(),
    }
}

/// Status line and reason.
#[derive(Debug)]
struct Refusal(&'static str, &'static str);

impl From<Refusal> for Answer {
    fn from(Refusal(status, why): Refusal) -> Answer {
        let version = match status.starts_with("426") {
            true => "Sec-WebSocket-Version: 13\r\n",
            false => "",
        };
        let response =
            format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n{version}\r\n");
        Answer::Refused { why, response }
    }
}

/// §4.2.1, and §6 of MQTT 5: the value of Sec-WebSocket-Accept.
fn accept_key(request: &httparse::Request<'_, '_>, path: &str) -> Result<String, Refusal> {
    let target = request.path.unwrap_or_default();
    if target.split('?').next() != Some(path) {
        return Err(Refusal("404 Not Found", "another path than the listener's"));
    }
    if request.method != Some("GET") {
        return Err(Refusal("405 Method Not Allowed", "another method than GET"));
    }
    if request.version != Some(1)
        || !lists(request, "connection", "upgrade")
        || !lists(request, "upgrade", "websocket")
    {
        return Err(Refusal("400 Bad Request", "no upgrade to WebSocket"));
    }
    if !lists(request, "sec-websocket-version", "13") {
        return Err(Refusal(
            "426 Upgrade Required",
            "another version of WebSocket than 13",
        ));
    }
    if !lists(request, "sec-websocket-protocol", SUBPROTOCOL) {
        let why = "the subprotocol mqtt is not offered [MQTT-6.0.0-3]";
        return Err(Refusal("400 Bad Request", why));
    }
    let key = field(request, "sec-websocket-key")
        .next()
        .unwrap_or_default();
    if STANDARD.decode(key).map_or(0, |key| key.len()) != 16 {
        return Err(Refusal(
            "400 Bad Request",
            "a Sec-WebSocket-Key that is none",
        ));
    }
    let hash = digest::digest(
        &digest::SHA1_FOR_LEGACY_USE_ONLY,
        format!("{key}{KEY_SUFFIX}").as_bytes(),
    );
    Ok(STANDARD.encode(hash))
}

/// The subprotocol that is agreed upon is told [MQTT-6.0.0-4], 3.1.1 [MQTT-6.0.0-4].
fn switching(key: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {key}\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
    )
}

fn field<'r>(
    request: &'r httparse::Request<'_, '_>,
    name: &'r str,
) -> impl Iterator<Item = &'r str> {
    let fields = request.headers.iter();
    let named = fields.filter(move |field| field.name.eq_ignore_ascii_case(name));
    named.filter_map(|field| std::str::from_utf8(field.value).ok())
}

/// Whether a field that is a list, or one of several, has this element.
fn lists(request: &httparse::Request<'_, '_>, name: &str, wanted: &str) -> bool {
    field(request, name)
        .flat_map(|value| value.split(','))
        .any(|element| element.trim().eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The request of RFC 6455 §1.3, for MQTT.
    const GOOD: &str = "GET /mqtt?x=1 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqttv3.1, mqtt\r\n\
        Sec-WebSocket-Version: 13\r\n\r\n";

    fn status(request: &str) -> String {
        match answer(request.as_bytes(), "/mqtt") {
            Answer::Refused { response, .. } => response[9..12].to_owned(),
            other => format!("{other:?}"),
        }
    }

    /// [MQTT-6.0.0-4], 3.1.1 [MQTT-6.0.0-4]
    #[test]
    fn a_good_request_is_accepted_with_key_and_subprotocol() {
        let Answer::Accepted {
            request_bytes,
            response,
        } = answer(&[GOOD.as_bytes(), b"rest"].concat(), "/mqtt")
        else {
            panic!("not accepted");
        };
        assert_eq!(request_bytes, GOOD.len());
        assert!(response.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert!(response.contains("Sec-WebSocket-Protocol: mqtt\r\n"));
    }

    #[test]
    fn half_a_request_waits_for_more() {
        for end in [0, 1, 20, GOOD.len() - 1] {
            let answer = answer(&GOOD.as_bytes()[..end], "/mqtt");
            assert_eq!(answer, Answer::Incomplete, "cut at {end}");
        }
    }

    /// [MQTT-6.0.0-3]
    #[test]
    fn what_is_missing_is_refused_with_its_status() {
        let cases = [
            ("/mqtt?x=1", "/other", "404"),
            ("GET", "POST", "405"),
            ("mqttv3.1, mqtt", "soap", "400"),
            ("Upgrade: websocket", "Upgrade: h2c", "400"),
            ("Version: 13", "Version: 8", "426"),
            ("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ=", "400"),
            ("HTTP/1.1", "HTTP/1.0", "400"),
            ("GET ", "\u{1}", "400"),
        ];
        for (from, to, expected) in cases {
            assert_eq!(status(&GOOD.replacen(from, to, 1)), expected, "{to}");
        }
        let long = GOOD.replacen("Host: a", &format!("Host: {}", "a".repeat(9_000)), 1);
        assert_eq!(status(&long), "431");
        assert_eq!(status(&long[..8_800]), "431");
    }
}
