//! The command line: what the user wants done, as one [`Job`].
//!
//! Flags are the last layer of the configuration, so they are taken as text here and read by
//! [`crate::config`] together with everything else; clap only knows their names. Exit statuses:
//! 0 done, 1 failed while running, 2 wrong usage or configuration.

mod bans;
mod ctl;
mod flags;
mod refusal;
mod scram;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Loaded, Sources};
use crate::passwords;
use crate::{dev, health};
pub use flags::ConfigArgs;
pub use refusal::Refusal;

/// What the program is to do.
#[derive(Debug)]
pub enum Job {
    /// Be a node.
    Serve(Box<Serve>),
    /// Start a cluster of child processes on this machine.
    Develop(dev::Plan),
    /// Ask the node of this machine whether it is ready.
    Health(health::Question),
    /// Ask a running cluster.
    Control(Box<crate::ctl::Plan>),
    /// Change a file of passwords.
    Passwd(passwords::Change),
    /// Print this text, which ends with a newline, to standard output and end.
    Print(String),
}

/// How to be a node.
#[derive(Debug)]
pub struct Serve {
    /// The checked configuration and the origin of its values.
    pub loaded: Loaded,
    /// Whether the node lives as long as the process that started it; see [`dev::parent_gone`].
    pub lifetime: Lifetime,
}

/// How long a node lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Until it is told to stop.
    Own,
    /// Also no longer than its parent: end of file on standard input is its end.
    Parent,
}

/// A clustered MQTT broker
#[derive(Parser)]
#[command(
    name = "raftmq",
    bin_name = "raftmq",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Without a command it runs one node; without anything it keeps its files in ./data and serves\n\
                  MQTT on port 1883 and the HTTP API on port 6060.\n\
                  Every setting can also be given in the environment: mqtt.addr is RAFTMQ_MQTT_ADDR.\n\
                  Exit status: 0 done, 1 failed while running, 2 wrong usage or configuration."
)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Run one node, alone or as a member of a cluster
    Run(RunArgs),
    /// Run a whole cluster on this machine, for development and for trying things out
    Dev(DevArgs),
    /// Check a configuration and say everything that is wrong with it
    Check(ConfigArgs),
    /// Print the configuration that would be used, and where each value is from
    Config(PrintArgs),
    /// Ask the node of this configuration whether it is ready, on its own machine: exit status 0 if it is
    Health(ConfigArgs),
    /// Ask a running cluster: nodes, clients, routes, live events, and more
    Ctl(ctl::CtlArgs),
    /// Make a user's line for raftmq-auth-scram; the password is read from standard input
    Scram(scram::ScramArgs),
    /// Set or delete a user's password in a file for the plugin rmqtt-auth-file
    Passwd(PasswdArgs),
}

#[derive(Args)]
struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Stop at end of file on standard input (how `raftmq dev` leaves no node behind)
    #[arg(long, hide = true)]
    exit_with_parent: bool,
}

#[derive(Args)]
struct DevArgs {
    /// Number of nodes: 1, 3 or 5
    #[arg(long, value_name = "N", default_value_t = 3)]
    nodes: usize,
    /// Directory under which each node has its own
    #[arg(long, value_name = "DIR", default_value = "./data-dev")]
    data_dir: PathBuf,
    /// MQTT port of the first node; the others have the ports after it
    #[arg(long, value_name = "PORT", default_value_t = 1883)]
    mqtt_port: u16,
    /// HTTP port of the first node
    #[arg(long, value_name = "PORT", default_value_t = 6060)]
    http_port: u16,
    /// Port of the first node for the other nodes
    #[arg(long, value_name = "PORT", default_value_t = 5363)]
    rpc_port: u16,
    /// Configuration file for every node
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Any setting for every node, such as log.filter=debug (may be repeated)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Args)]
struct PrintArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print a file with every setting, its meaning and its default instead
    #[arg(long, conflicts_with = "print_reference")]
    print_default: bool,
    /// Print the reference of all settings in Markdown instead
    #[arg(long)]
    print_reference: bool,
}

/// The password is asked for, or is the first line of standard input when that is no terminal.
#[derive(Args)]
struct PasswdArgs {
    /// File of users and hashed passwords; made when it is missing
    file: PathBuf,
    /// User name
    user: String,
    /// Delete the user
    #[arg(short = 'D', long)]
    delete: bool,
}

impl PasswdArgs {
    fn change(self) -> passwords::Change {
        passwords::Change {
            file: self.file,
            user: self.user,
            wish: match self.delete {
                true => passwords::Wish::Delete,
                false => passwords::Wish::Set,
            },
        }
    }
}

/// Writes the text of a [`Job::Print`] to standard output. A reader that has had enough
/// (`raftmq config | head`) is no failure; any other error of the stream is exit status 1.
pub fn show(text: &str) -> ExitCode {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("raftmq: standard output: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// The variables of the environment, names and values.
pub type Environment = Vec<(OsString, OsString)>;

/// Reads the command line and the configuration that it names. Opens no port, starts nothing.
///
/// # Errors
///
/// Wrong usage or configuration, all of it at once; also `--help` and `--version`, which clap
/// hands out this way. [`Refusal::report`] prints the right thing in each case.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    environment: Environment,
) -> Result<Job, Refusal> {
    let line = CommandLine::try_parse_from(arguments)?;
    match line.command.unwrap_or(Command::Run(line.run)) {
        Command::Run(run) => serve(run, environment),
        Command::Dev(args) => develop(args, environment),
        Command::Check(args) => check(args, environment),
        Command::Config(args) => print(args, environment),
        Command::Health(args) => health(args, environment),
        Command::Ctl(args) => Ok(Job::Control(Box::new(args.plan(&environment)?))),
        Command::Scram(args) => args.job(),
        Command::Passwd(args) => Ok(Job::Passwd(args.change())),
    }
}

fn serve(run: RunArgs, environment: Environment) -> Result<Job, Refusal> {
    let loaded = config::load(&run.config.sources(environment)?)?;
    let lifetime = if run.exit_with_parent {
        Lifetime::Parent
    } else {
        Lifetime::Own
    };
    Ok(Job::Serve(Box::new(Serve { loaded, lifetime })))
}

/// What every node would refuse is refused here, once.
fn develop(args: DevArgs, environment: Environment) -> Result<Job, Refusal> {
    let mut plan = dev::Plan {
        nodes: args.nodes,
        data_dir: args.data_dir,
        mqtt_port: args.mqtt_port,
        http_port: args.http_port,
        rpc_port: args.rpc_port,
        file: args.file,
        set: args.set,
        tls_certificate: None,
    };
    plan.check().map_err(Refusal::Usage)?;
    for member in plan.members() {
        let line = CommandLine::try_parse_from(plan.command_line(&member))?;
        if let Some(Command::Run(run)) = line.command {
            let loaded = config::load(&run.config.sources(environment.clone())?)?;
            plan.tls_certificate = loaded.config.http.tls_certificate;
        }
    }
    Ok(Job::Develop(plan))
}

/// Where the node is, and nothing else of it: who checks its health need not say again which member it is.
fn health(args: ConfigArgs, environment: Environment) -> Result<Job, Refusal> {
    let config = config::read(&args.sources(environment)?)?;
    Ok(Job::Health(health::Question::new(&config.http)))
}

fn check(args: ConfigArgs, environment: Environment) -> Result<Job, Refusal> {
    config::load(&args.sources(environment)?)?;
    Ok(Job::Print("the configuration is good\n".to_owned()))
}

fn print(args: PrintArgs, environment: Environment) -> Result<Job, Refusal> {
    if args.print_default {
        return Ok(Job::Print(config::default_toml()));
    }
    if args.print_reference {
        return Ok(Job::Print(config::markdown()));
    }
    let sources: Sources = args.config.sources(environment)?;
    Ok(Job::Print(config::effective_toml(&config::load(&sources)?)))
}
