//! Tests of a cluster of real processes, grouped by class: what it does when all is well (t1, t2, t3),
//! what faults do to it (t4, t5), the HTTP API (t6), what strangers send (t7), how it starts and
//! stops, and its plugins (t8, t9).

mod t10_publish;
mod t11_retained;
mod t12_subscriptions;
mod t13_wills;
mod t20_fence;
mod t30_owner;
mod t31_takeover;
mod t40_kill;
mod t41_start_order;
mod t42_dead_node;
mod t50_minority;
mod t51_links;
mod t52_stopped_node;
mod t60_api_rows;
mod t61_api_clients;
mod t62_api_publish;
mod t63_api_errors;
mod t64_newer_endpoints;
mod t65_insight;
mod t66_explain;
mod t67_tail;
mod t68_right_numbers;
mod t69_large_answers;
mod t70_bad_packets;
mod t71_slow_clients;
mod t72_full_disk;
mod t80_graceful_stop;
mod t84_plugins;
mod t85_authentication;
mod t86_web_hook;
mod t87_sys_topic;
mod t88_openapi;
mod t89_api_security;
mod t90_refusals;
mod t91_dev;
mod t92_ctl;
mod t93_dashboard;
mod t94_drain;
mod t95_membership;
mod t96_operators;
mod t97_durable;
mod t98_nearly_full_disk;
