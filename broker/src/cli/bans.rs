//! The command line of `raftmq ctl ban` and `unban`.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::ctl::{Ban, Banned, Command};

/// Who orders a ban at a terminal, for listings.
const BY: &str = "raftmq ctl";

/// What a ban names.
#[derive(Clone, Copy, ValueEnum)]
enum As {
    Clientid,
    Username,
    Ip,
}

#[derive(Args)]
pub(super) struct BannedArgs {
    /// What is named
    #[arg(value_name = "AS")]
    named_as: As,
    /// Client identifier, user name, or IP address or network
    who: String,
}

impl BannedArgs {
    fn banned(self) -> Banned {
        let named_as = match self.named_as {
            As::Clientid => "clientid",
            As::Username => "username",
            As::Ip if self.who.contains('/') => "peerhost_net",
            As::Ip => "peerhost",
        };
        Banned {
            named_as,
            who: self.who,
        }
    }

    pub(super) fn command(self) -> Command {
        Command::Unban(self.banned())
    }
}

#[derive(Args)]
pub(super) struct BanArgs {
    #[command(flatten)]
    banned: BannedArgs,
    /// For so long, such as 10m, 2h or 7d [default: for good]
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    time: Option<Duration>,
    /// Why, for those who read the list
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Seconds of the longest time; more is meant to be for good.
const SECONDS_MAX: u64 = 100 * 366 * 86_400;

fn time(text: &str) -> Result<Duration, String> {
    let units = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];
    let found = units.iter().find_map(|(unit, seconds)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(*seconds)
    });
    match found {
        Some(seconds) if (1..=SECONDS_MAX).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => Err("it is a time such as 30s, 10m, 2h or 7d, up to 100 years".to_owned()),
    }
}

impl BanArgs {
    pub(super) fn command(self) -> Command {
        Command::Ban(Ban {
            banned: self.banned.banned(),
            time: self.time,
            reason: self.reason,
            by: BY.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Job, parse};
    use super::*;
    use std::ffi::OsString;

    fn command(arguments: &str) -> Option<Command> {
        let words = ["raftmq", "ctl"]
            .into_iter()
            .chain(arguments.split_whitespace());
        match parse(words.map(OsString::from), Vec::new()).ok()? {
            Job::Control(plan) => Some(plan.command),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn bans_name_clients_users_addresses_and_networks() {
        for (arguments, named_as, who) in [
            ("unban clientid c", "clientid", "c"),
            ("unban username u", "username", "u"),
            ("unban ip 10.0.0.1", "peerhost", "10.0.0.1"),
            ("unban ip 10.0.0.0/8", "peerhost_net", "10.0.0.0/8"),
        ] {
            let who = who.to_owned();
            let expected = Command::Unban(Banned { named_as, who });
            assert_eq!(command(arguments), Some(expected));
        }
        let ban = command("ban clientid c --for 10m --reason floods");
        let expected = Ban {
            banned: Banned {
                named_as: "clientid",
                who: "c".into(),
            },
            time: Some(Duration::from_secs(600)),
            reason: Some("floods".into()),
            by: BY.into(),
        };
        assert_eq!(ban, Some(Command::Ban(expected)));
        assert!(matches!(command("bans --all"), Some(Command::Bans(..))));
        for wrong in [
            "ban c",
            "ban topic c",
            "ban clientid c --for soon",
            "ban clientid c --for 99999999d",
        ] {
            assert_eq!(command(wrong), None, "{wrong}");
        }
    }
}
