//! One page: go somewhere, look, click, type; and what it logged and requested.

use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::wire::Wire;
use crate::wait::eventually;

/// A page of a browser. Elements are named by CSS selectors.
pub struct Page {
    wire: Wire,
    session: String,
}

impl Page {
    pub(super) async fn open(wire: Wire) -> Self {
        let target = wire.ask(None, "Target.createTarget", json!({"url": "about:blank"}));
        let target = target.await.expect("a page")["targetId"].take();
        let attach = json!({"targetId": target, "flatten": true});
        let attached = wire.ask(None, "Target.attachToTarget", attach).await;
        let session = attached.expect("a session")["sessionId"].take();
        let session = session.as_str().expect("its identifier").to_owned();
        let page = Self { wire, session };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.ask(&format!("{domain}.enable"), json!({})).await;
        }
        page
    }

    async fn ask(&self, method: &str, parameters: Value) -> Value {
        self.wire
            .ask(Some(&self.session), method, parameters)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Goes to an address.
    ///
    /// # Panics
    /// When it cannot be loaded.
    pub async fn go(&self, url: &str) {
        let answer = self.ask("Page.navigate", json!({"url": url})).await;
        assert_eq!(answer.get("errorText"), None, "{url}");
    }

    /// The size of the page in CSS pixels, as a phone or as a desktop.
    pub async fn resize(&self, width: u32, height: u32) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700,
        });
        self.ask("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// What the system prefers: `light` or `dark`.
    pub async fn prefer(&self, scheme: &str) {
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        self.ask("Emulation.setEmulatedMedia", json!({"features": [feature]}))
            .await;
    }

    /// The value of a JavaScript expression.
    ///
    /// # Errors
    /// It threw.
    pub async fn try_value(&self, expression: &str) -> Result<Value, String> {
        let question = json!({"expression": expression, "returnByValue": true});
        let mut answer = self.ask("Runtime.evaluate", question).await;
        match answer.get("exceptionDetails") {
            Some(thrown) => Err(format!("{expression}: {thrown}")),
            None => Ok(answer["result"]["value"].take()),
        }
    }

    /// Waits until an expression is true.
    ///
    /// # Panics
    /// When it is not before the deadline; the message has the text of the page.
    pub async fn wait_for(&self, expression: &str, deadline: Duration) {
        eventually(expression, deadline, async || {
            let last = match self.try_value(expression).await {
                Ok(Value::Bool(true)) => return Ok(()),
                Ok(value) => value.to_string(),
                Err(error) => error,
            };
            let text = self.try_value("document.body.innerText").await;
            Err(format!(
                "{last}; the page:\n{}",
                text?.as_str().unwrap_or_default()
            ))
        })
        .await;
    }

    /// Waits until an element is there whose text contains `text`.
    ///
    /// # Panics
    /// When there is none before the deadline.
    pub async fn wait_for_text(&self, selector: &str, text: &str, deadline: Duration) {
        let (selector, text) = (json!(selector), json!(text));
        let expression = format!(
            "[...document.querySelectorAll({selector})].some((found) => found.textContent.includes({text}))"
        );
        self.wait_for(&expression, deadline).await;
    }

    /// Waits for an element and clicks it.
    ///
    /// # Panics
    /// When there is none before the deadline.
    pub async fn click(&self, selector: &str, deadline: Duration) {
        let selector = json!(selector);
        let found = format!("document.querySelector({selector}) !== null");
        self.wait_for(&found, deadline).await;
        let click = format!("document.querySelector({selector}).click()");
        self.try_value(&click).await.expect("a click");
    }

    /// Types into a field of a form in place of what is there, and submits the form.
    ///
    /// # Panics
    /// When there is no such field before the deadline.
    pub async fn submit(&self, field: &str, text: &str, deadline: Duration) {
        let (selector, text) = (json!(field), json!(text));
        let found = format!("document.querySelector({selector}) !== null");
        self.wait_for(&found, deadline).await;
        let typed = format!(
            "{{ const field = document.querySelector({selector}); field.value = {text}; field.form.requestSubmit(); }}"
        );
        self.try_value(&typed).await.expect("a form");
    }

    /// Errors that the page logged or threw, and those that the browser logged about it.
    #[must_use]
    pub fn errors(&self) -> Vec<String> {
        self.wire
            .events(&self.session, |method, event| match method {
                "Runtime.exceptionThrown" => Some(event["exceptionDetails"].to_string()),
                "Runtime.consoleAPICalled" if event["type"] == "error" => Some(event.to_string()),
                "Log.entryAdded" if event["entry"]["level"] == "error" => {
                    Some(event["entry"].to_string())
                }
                _ => None,
            })
    }

    /// The addresses of all requests that the page made.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.wire.events(&self.session, |method, event| {
            let url = event["request"]["url"].as_str()?;
            (method == "Network.requestWillBeSent").then(|| url.to_owned())
        })
    }

    /// Writes a picture (PNG) of the whole page.
    ///
    /// # Panics
    /// When it cannot be written.
    pub async fn picture(&self, file: &Path) {
        let question = json!({"format": "png", "captureBeyondViewport": true});
        let answer = self.ask("Page.captureScreenshot", question).await;
        let bytes = STANDARD.decode(answer["data"].as_str().unwrap_or_default());
        std::fs::write(file, bytes.expect("base64")).expect("a picture");
    }
}
