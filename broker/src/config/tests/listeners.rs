//! Listeners in every layer, and what cannot be in one.

use super::*;

const TLS: &str = "[listener.tls]\ntransport = \"tls\"\naddr = \"0.0.0.0:8883\"\ntls_certificate = \"c\"\ntls_key = \"k\"\n";

#[test]
fn a_listener_is_a_table_with_a_name_and_later_layers_win() {
    let variables = [
        ("RAFTMQ_LISTENER_TLS_MAX_INFLIGHT", "5"),
        ("RAFTMQ_LISTENER_WEB_TRANSPORT", "ws"),
        ("RAFTMQ_LISTENER_WEB_ADDR", "127.0.0.1:8083"),
    ];
    let flags = [("listener.tls.max_inflight", "7")];
    let loaded = accepted(TLS, &variables, &flags);
    let listeners = &loaded.config.listeners;
    assert_eq!(listeners.keys().collect::<Vec<_>>(), ["tls", "web"]);
    assert_eq!(listeners["tls"].transport, TransportKind::Tls);
    assert_eq!(listeners["tls"].max_inflight, Some(7));
    assert_eq!(listeners["web"].http_path, "/mqtt");
    let origin = loaded.origin("listener.tls.addr").to_string();
    assert!(origin.ends_with(":3:8"), "{origin}");
    let again = accepted(&effective_toml(&loaded), &[], &[]);
    assert_eq!(again.config, loaded.config);
}

/// The disk is opened when anybody's session may have to be on it.
#[test]
fn a_listener_says_where_sessions_are_kept_and_the_others_go_by_the_group() {
    let listener = |sessions: &str| format!("[listener.a]\naddr = \"0.0.0.0:1\"\n{sessions}");
    for (group, own, expected) in [
        ("durable", "", true),
        ("durable", "sessions = \"memory\"", true),
        ("memory", "", false),
        ("memory", "sessions = \"memory\"", false),
        ("memory", "sessions = \"durable\"", true),
    ] {
        let loaded = accepted(&listener(own), &[], &[("mqtt.sessions", group)]);
        assert_eq!(
            loaded.config.keeps_sessions_on_disk(),
            expected,
            "{group}, {own}"
        );
    }
}

#[test]
fn mistakes_in_a_listener_are_told_with_their_places() {
    let cases = [
        (
            "[listener.a]\naddr = \"0.0.0.0:1\"\nadr = 1\n",
            "FILE:3:7: unknown key \"adr\" of a listener; did you mean \"addr\"?",
        ),
        (
            "[listener.A]\naddr = \"0.0.0.0:1\"\n",
            "FILE:2:8: the name of a listener is 1 to 32 lower-case letters, digits and \"-\", not \"A\"",
        ),
        (
            "[[listener]]\naddr = \"0.0.0.0:1\"\n",
            "FILE:1:1: a listener has a name: write [listener.<name>]",
        ),
        (
            "[listener.a]\naddr = \"0.0.0.0:1\"\ntransport = \"udp\"\n",
            "FILE:3:13: listener.a.transport: expected \"tcp\" or \"tls\" or \"ws\" or \"wss\" or \"unix\" or \"quic\", found \"udp\"",
        ),
    ];
    for (file, expected) in cases {
        assert_eq!(refused(file, &[], &[]), [expected]);
    }
    let flag = [("listener.a", "1")];
    let lines = refused("", &[], &flag);
    assert!(
        lines[0].contains("expected listener.<name>.<setting>"),
        "{lines:?}"
    );
}

#[test]
fn what_cannot_be_together_is_refused() {
    let cases = [
        (
            "[listener.a]\ntransport = \"ws\"\n",
            "listener.a.addr: a listener of \"ws\" needs it",
        ),
        (
            "[listener.mqtt]\ntransport = \"tcp\"\naddr = \"0.0.0.0:1\"\n",
            "listener.mqtt.transport: is the name of the listener at mqtt.addr",
        ),
        (
            "[listener.a]\ntransport = \"unix\"\naddr = \"0.0.0.0:1\"\nsocket = \"s\"\n",
            "listener.a.addr: a listener of \"unix\" has none",
        ),
        (
            "[listener.a]\ntransport = \"tls\"\naddr = \"0.0.0.0:1\"\ntls_key = \"k\"\n",
            "listener.a.tls_certificate: a listener of \"tls\" needs it",
        ),
        (
            "[listener.a]\naddr = \"0.0.0.0:1\"\ntls_key = \"k\"\n",
            "listener.a.tls_key: a listener of \"tcp\" has none",
        ),
        (
            "[listener.a]\naddr = \"0.0.0.0:1883\"\n",
            "listener.a.addr: 0.0.0.0:1883 is already taken by mqtt.addr",
        ),
        (
            "[listener.a]\naddr = \"0.0.0.0:1\"\nmin_keep_alive = \"9s\"\nmax_keep_alive = \"8s\"\n",
            "listener.a.min_keep_alive: 9s is more than the longest one (8s)",
        ),
        (
            "[listener.a]\naddr = \"0.0.0.0:1\"\nmax_packet_size = \"2MiB\"\n",
            "listener.a.max_packet_size: 2MiB does not fit into mqtt.out_buffer",
        ),
    ];
    for (file, expected) in cases {
        let lines = refused(file, &[], &[]);
        assert!(
            lines.iter().any(|line| line.contains(expected)),
            "{expected}: {lines:#?}"
        );
    }
    let asks = format!("{TLS}client_certificates = \"required\"\n");
    assert!(
        refused(&asks, &[], &[])[0]
            .contains("listener.tls.client_ca: client_certificates needs it")
    );
    let idle = format!("{TLS}certificate_name = \"cn\"\n");
    assert!(refused(&idle, &[], &[])[0].contains("it needs client_certificates, too"));
    let quic = TLS.replace("\"tls\"", "\"quic\"") + "proxy_protocol = \"v2\"\n";
    assert!(refused(&quic, &[], &[])[0].contains("there is no PROXY protocol for QUIC"));
    // UDP has ports of its own.
    let both = format!(
        "{TLS}{}",
        TLS.replace("listener.tls", "listener.q")
            .replace("\"tls\"", "\"quic\"")
    );
    accepted(&both, &[], &[]);
}

#[test]
fn every_setting_of_a_listener_reads_back_its_default() {
    for setting in crate::config::listener::LISTENER_SETTINGS {
        let mut listener = ListenerConfig::default();
        let Some(shown) = (setting.slot)(&mut listener).show() else {
            continue;
        };
        let file = format!(
            "[listener.a]\naddr = \"0.0.0.0:1\"\n{} = {shown}\n",
            setting.name
        );
        let read = accepted(&file, &[], &[]).config.listeners["a"].clone();
        let addr = Some("0.0.0.0:1".parse().expect("an address"));
        assert_eq!(
            read,
            ListenerConfig {
                addr,
                ..ListenerConfig::default()
            },
            "{file}"
        );
    }
}
