//! What is asked. A case has the `operationId` of its endpoint as its name; further ones of the same
//! endpoint have a word behind it.

/// A request.
pub struct Case {
    /// The name of its file.
    pub name: &'static str,
    /// Method and path.
    pub request: &'static str,
    /// A JSON body.
    pub body: Option<&'static str>,
}

impl Case {
    /// Whose answer it is.
    pub fn operation(&self) -> &'static str {
        self.name.split('.').next().unwrap_or_default()
    }

    /// Whether a third node is there and does not answer.
    pub fn has_silent_node(&self) -> bool {
        self.name.ends_with(".silent_node")
    }
}

const fn ask(name: &'static str, request: &'static str) -> Case {
    Case {
        name,
        request,
        body: None,
    }
}

const fn send(name: &'static str, request: &'static str, body: &'static str) -> Case {
    Case {
        name,
        request,
        body: Some(body),
    }
}

pub const CASES: &[Case] = &[
    ask("get_live", "GET /live"),
    ask("get_ready", "GET /ready"),
    ask("get_endpoints", "GET /api/v1"),
    ask("get_openapi", "GET /api/v1/openapi.json"),
    ask("get_brokers", "GET /api/v1/brokers"),
    ask("get_brokers.silent_node", "GET /api/v1/brokers"),
    ask("get_broker", "GET /api/v1/brokers/2"),
    ask("get_broker.unknown_node", "GET /api/v1/brokers/9"),
    ask("get_broker.no_number", "GET /api/v1/brokers/one"),
    ask("get_nodes", "GET /api/v1/nodes"),
    ask("get_node", "GET /api/v1/nodes/1"),
    ask("get_node.silent_node", "GET /api/v1/nodes/3"),
    ask("get_node_drain", "GET /api/v1/nodes/2/drain"),
    ask(
        "drain_node",
        "PUT /api/v1/nodes/2/drain?clients_per_second=5",
    ),
    ask(
        "drain_node.forecast",
        "PUT /api/v1/nodes/2/drain?dry_run=true",
    ),
    ask("drain_node.unknown_node", "PUT /api/v1/nodes/9/drain"),
    ask("undrain_node", "DELETE /api/v1/nodes/2/drain"),
    send(
        "put_cluster_node",
        "PUT /api/v1/cluster/nodes/3",
        r#"{"address": "n3:5363"}"#,
    ),
    send(
        "put_cluster_node.no_address",
        "PUT /api/v1/cluster/nodes/3",
        r#"{"address": "n3"}"#,
    ),
    ask("delete_cluster_node", "DELETE /api/v1/cluster/nodes/3"),
    ask("get_clients", "GET /api/v1/clients"),
    ask("get_clients.page", "GET /api/v1/clients?_limit=1"),
    ask("get_clients.wrong_limit", "GET /api/v1/clients?_limit=-1"),
    ask(
        "get_clients.silent_node",
        "GET /api/v1/clients?connected=true",
    ),
    ask("get_client", "GET /api/v1/clients/sensor-1"),
    ask("get_client.unknown_client", "GET /api/v1/clients/nobody"),
    ask("get_client_online", "GET /api/v1/clients/sensor-1/online"),
    ask("kick_client", "DELETE /api/v1/clients/sensor-1"),
    ask("get_offlines", "GET /api/v1/clients/offlines"),
    ask("kick_offlines", "DELETE /api/v1/clients/offlines"),
    ask("get_subscriptions", "GET /api/v1/subscriptions"),
    ask(
        "get_subscriptions.page",
        "GET /api/v1/subscriptions?_match_topic=jobs/7&_limit=1",
    ),
    ask(
        "get_client_subscriptions",
        "GET /api/v1/subscriptions/sensor-2",
    ),
    ask("get_routes", "GET /api/v1/routes"),
    ask("get_route", "GET /api/v1/routes/sensors%2f1%2ftemperature"),
    ask("get_route.invalid_topic", "GET /api/v1/routes/a%2F%2B"),
    ask(
        "get_route_explanation",
        "GET /api/v1/routes/explain?topic=a/b&qos=1&nodes=all&clientid=p",
    ),
    send(
        "publish",
        "POST /api/v1/mqtt/publish",
        r#"{"topic": "foo/1", "payload": "SGVsbG8gV29ybGQ=", "encoding": "base64", "qos": 1}"#,
    ),
    send(
        "publish.invalid_topic",
        "POST /api/v1/mqtt/publish",
        r#"{"topic": "foo/#", "payload": "x"}"#,
    ),
    send(
        "subscribe",
        "POST /api/v1/mqtt/subscribe",
        r#"{"topics": "a,$share/g/b,secret/x", "clientid": "sensor-1", "qos": 1}"#,
    ),
    send(
        "subscribe.offline",
        "POST /api/v1/mqtt/subscribe",
        r#"{"topic": "a", "clientid": "sensor-2"}"#,
    ),
    send(
        "unsubscribe",
        "POST /api/v1/mqtt/unsubscribe",
        r#"{"topic": "foo/a", "clientid": "sensor-1"}"#,
    ),
    ask("get_cluster", "GET /api/v1/cluster"),
    ask("get_cluster.silent_node", "GET /api/v1/cluster"),
    ask("get_cluster_consistency", "GET /api/v1/cluster/consistency"),
    ask("get_cluster_doctor", "GET /api/v1/cluster/doctor"),
    ask("get_banned", "GET /api/v1/banned"),
    ask("get_banned.page", "GET /api/v1/banned?_limit=1"),
    send(
        "ban",
        "POST /api/v1/banned",
        r#"{"as": "peerhost_net", "who": "10.1.2.3/8", "by": "ops", "reason": "a scan", "until": "2100-01-01T00:00:00Z"}"#,
    ),
    send(
        "ban.invalid_ban",
        "POST /api/v1/banned",
        r#"{"as": "peerhost", "who": "nowhere"}"#,
    ),
    ask("unban", "DELETE /api/v1/banned/clientid/evil"),
    ask("unban.unknown_ban", "DELETE /api/v1/banned/username/evil"),
    ask("get_stats", "GET /api/v1/stats"),
    ask("get_stats.silent_node", "GET /api/v1/stats"),
    ask("get_stats_sum", "GET /api/v1/stats/sum"),
    ask("get_stats_sum.silent_node", "GET /api/v1/stats/sum"),
    ask("get_node_stats", "GET /api/v1/stats/1"),
    ask("get_metrics", "GET /api/v1/metrics"),
    ask("get_metrics.silent_node", "GET /api/v1/metrics"),
    ask("get_metrics_sum", "GET /api/v1/metrics/sum"),
    ask("get_node_metrics", "GET /api/v1/metrics/2"),
    ask("get_retains", "GET /api/v1/retains"),
    ask(
        "get_retains.page",
        "GET /api/v1/retains?topic_filter=sensors/%23&limit=1",
    ),
    ask(
        "delete_retain",
        "DELETE /api/v1/retains?topic=sensors/1/name",
    ),
    ask(
        "delete_retain.unknown_topic",
        "DELETE /api/v1/retains?topic=nothing",
    ),
    ask("check_health", "GET /api/v1/health/check"),
    ask("check_health.silent_node", "GET /api/v1/health/check"),
    ask("check_node_health", "GET /api/v1/health/check/2"),
    ask("get_features", "GET /api/v1/features"),
    ask("get_node_features", "GET /api/v1/features/2"),
    ask("get_stats_history", "GET /api/v1/stats/history?hours=1"),
    ask("get_stats_history.silent_node", "GET /api/v1/stats/history"),
    ask("get_stats_history_sum", "GET /api/v1/stats/history/sum"),
    ask("get_node_stats_history", "GET /api/v1/stats/history/2"),
    ask("get_metrics_history", "GET /api/v1/metrics/history"),
    ask("get_metrics_history_sum", "GET /api/v1/metrics/history/sum"),
    ask("get_node_metrics_history", "GET /api/v1/metrics/history/1"),
    ask("get_prometheus_metrics", "GET /api/v1/metrics/prometheus"),
    ask(
        "get_prometheus_metrics_sum",
        "GET /api/v1/metrics/prometheus/sum",
    ),
    ask(
        "get_node_prometheus_metrics",
        "GET /api/v1/metrics/prometheus/1",
    ),
    ask("all_plugins", "GET /api/v1/plugins"),
    ask("all_plugins.silent_node", "GET /api/v1/plugins"),
    ask("node_plugins", "GET /api/v1/plugins/2"),
    ask("node_plugin_info", "GET /api/v1/plugins/1/rmqtt-acl"),
    ask(
        "node_plugin_info.unknown_plugin",
        "GET /api/v1/plugins/1/nothing",
    ),
    ask(
        "node_plugin_config",
        "GET /api/v1/plugins/1/rmqtt-acl/config",
    ),
    ask(
        "node_plugin_config_reload",
        "PUT /api/v1/plugins/2/rmqtt-acl/config/reload",
    ),
    ask("node_plugin_load", "PUT /api/v1/plugins/1/rmqtt-acl/load"),
    ask(
        "node_plugin_unload",
        "PUT /api/v1/plugins/1/rmqtt-acl/unload",
    ),
    ask(
        "node_plugin_unload.refused",
        "PUT /api/v1/plugins/1/rmqtt-counter/unload",
    ),
    ask("tail", "GET /api/v1/tail?node=1"),
    ask("tail.unknown_event", "GET /api/v1/tail?event=none"),
];
