//! The `raftmq` program: reads what is wanted and starts it. Exit statuses: 0 done, 1 failed while
//! running, 2 wrong usage or configuration.

use raftmq::{
    cli::{self, Job, Lifetime, Serve},
    config, ctl, dev, health, logging,
    node::{Addresses, HttpFace, Node},
    passwords,
};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    match cli::parse(std::env::args_os(), std::env::vars_os().collect()) {
        Err(refusal) => refusal.report(),
        Ok(Job::Print(text)) => cli::show(&text),
        Ok(Job::Develop(plan)) => report(dev::run(&plan)),
        Ok(Job::Health(question)) => report(health::run(&question)),
        Ok(Job::Control(plan)) => report(ctl::run(*plan)),
        Ok(Job::Passwd(change)) => report(passwords::change(&change)),
        Ok(Job::Serve(serve)) => report(run(*serve)),
    }
}

fn report<E: std::fmt::Display>(result: Result<(), E>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("raftmq: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(serve: Serve) -> Result<(), Box<dyn std::error::Error>> {
    let config = serve.loaded.config;
    logging::start(&config.log)?;
    config::raise_open_files();
    // Raft and links share two threads: a late heartbeat is an election, so there are two
    // even on one core. Clients, and questions of the HTTP API, have threads of their own.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let node = Node::start(&config).await?;
        announce(&config, node.addresses(), node.http());
        let parent_gone: futures::future::BoxFuture<'_, ()> = match serve.lifetime {
            Lifetime::Own => Box::pin(std::future::pending()),
            Lifetime::Parent => Box::pin(dev::parent_gone()?),
        };
        let failure = tokio::select! {
            _ = terminate.recv() => None,
            _ = interrupt.recv() => None,
            () = parent_gone => None,
            reason = node.failed() => Some(reason),
        };
        node.stop().await;
        failure.map_or(Ok(()), |reason| Err(reason.into()))
    })
}

/// Tells where everything listens and what to try next.
fn announce(config: &config::Config, addresses: Addresses, face: HttpFace) {
    let Addresses { mqtt, http, rpc } = addresses;
    println!(
        "raftmq {} · node {}",
        env!("CARGO_PKG_VERSION"),
        config.node_name()
    );
    println!("  MQTT      {mqtt}");
    let scheme = if face.encrypted { "https" } else { "http" };
    println!("  HTTP API  {scheme}://{http}/api/v1");
    if face.open {
        println!(
            "            WARNING: open to the network and without a token (http.bearer_token)"
        );
    }
    println!("  cluster   {rpc} ({} member(s))", config.members().len());
    println!("  data      {}", config.node.data_dir.display());
    let (host, port) = (reachable(mqtt), mqtt.port());
    println!("try:");
    println!("  mosquitto_sub -h {host} -p {port} -t 'hello/#' -v");
    println!("  mosquitto_pub -h {host} -p {port} -t hello/world -m hi -q 1");
    println!(
        "  curl {scheme}://{}:{}/api/v1/routes",
        reachable(http),
        http.port()
    );
}

/// An address to connect to: all addresses of the machine are best reached by the loopback one.
fn reachable(address: std::net::SocketAddr) -> std::net::IpAddr {
    match address.ip() {
        ip if ip.is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
        ip => ip,
    }
}
