//! Plugins as the HTTP API sees them: parts of a node that an operator can switch and configure while
//! it runs, each with a file of its own.

use raftmq_proto::v1;

use super::NodeError;

pub use v1::PluginRow;

/// What can be done to a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluginCommand {
    /// Reads its file and puts it to work.
    Load,
    /// Takes it out of work.
    Unload,
    /// Reads its file again. A file that is wrong changes nothing.
    Reload,
}

impl From<PluginCommand> for v1::PluginCommand {
    fn from(command: PluginCommand) -> Self {
        match command {
            PluginCommand::Load => Self::Load,
            PluginCommand::Unload => Self::Unload,
            PluginCommand::Reload => Self::Reload,
        }
    }
}

impl TryFrom<v1::PluginCommand> for PluginCommand {
    type Error = NodeError;

    fn try_from(command: v1::PluginCommand) -> Result<Self, NodeError> {
        match command {
            v1::PluginCommand::Load => Ok(Self::Load),
            v1::PluginCommand::Unload => Ok(Self::Unload),
            v1::PluginCommand::Reload => Ok(Self::Reload),
            v1::PluginCommand::Unspecified => {
                Err(NodeError::Refused("this command is not known".to_owned()))
            }
        }
    }
}
