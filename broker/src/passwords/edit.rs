//! Changing one line of a file of passwords. The new file stands beside the old one before it takes its place,
//! so a node that reads it meanwhile, or a power cut, finds one or the other.

use super::file::{self, Line};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::Path,
};

/// Only its owner reads a file of ours.
const MODE: u32 = 0o600;

/// Whether the user was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    Known,
    Unknown,
}

/// The text with the user's line replaced, added, or left out (`hash` is `None`).
pub(super) fn edited(text: &str, user: &str, hash: Option<&str>) -> (String, Before) {
    let mut edited = String::with_capacity(text.len() + user.len() + 128);
    let mut before = Before::Unknown;
    for line in text.lines() {
        let is_users = matches!(file::line(line), Ok(Line::User(name, _)) if name == user);
        match (is_users, hash, before) {
            (false, ..) => edited.push_str(line),
            (true, Some(hash), Before::Unknown) => edited.push_str(&format!("{user}:{hash}")),
            (true, ..) => {
                before = Before::Known;
                continue;
            }
        }
        if is_users {
            before = Before::Known;
        }
        edited.push('\n');
    }
    if let (Before::Unknown, Some(hash)) = (before, hash) {
        edited.push_str(&format!("{user}:{hash}\n"));
    }
    (edited, before)
}

/// The text of a file that may not be there yet.
pub(super) fn text_or_nothing(path: &Path) -> io::Result<String> {
    match file::text(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        other => other,
    }
}

/// Puts the text in the place of the file, with its owner and mode.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    // Behind a link the file itself is replaced, not the link.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(".new");
    let beside = path.with_file_name(beside);
    let written = write(&beside, path, text).and_then(|()| fs::rename(&beside, path));
    if let Err(error) = written {
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn write(beside: &Path, path: &Path, text: &str) -> io::Result<()> {
    // What a change that broke off left there.
    match fs::remove_file(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(beside)?;
    if let Ok(old) = fs::metadata(path) {
        // Only root may give it away; who else changes it owns it already.
        let _ = fchown(&file, Some(old.uid()), Some(old.gid()));
        file.set_permissions(fs::Permissions::from_mode(old.mode() & 0o777))?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_changes_and_the_others_stay() {
        let text = "# ours\nann:1\nbob:2\n";
        let (added, before) = edited(text, "eve", Some("3"));
        assert_eq!(
            (&*added, before),
            ("# ours\nann:1\nbob:2\neve:3\n", Before::Unknown)
        );
        let (changed, before) = edited(text, "ann", Some("9"));
        assert_eq!(
            (&*changed, before),
            ("# ours\nann:9\nbob:2\n", Before::Known)
        );
        let (less, before) = edited(text, "bob", None);
        assert_eq!((&*less, before), ("# ours\nann:1\n", Before::Known));
        let (same, before) = edited(text, "eve", None);
        assert_eq!((&*same, before), (text, Before::Unknown));
        assert_eq!(edited("", "ann", Some("1")).0, "ann:1\n");
        assert_eq!(edited("bob:2", "ann", Some("1")).0, "bob:2\nann:1\n");
        assert_eq!(edited("ann:1\nann:2\n", "ann", Some("3")).0, "ann:3\n");
    }

    #[test]
    fn a_new_file_is_its_owners_alone_and_a_known_one_keeps_its_mode() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("passwords");
        let mode = || fs::metadata(&path).expect("it").permissions().mode() & 0o777;
        replace(&path, "ann:1\n").expect("written");
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("a mode");
        fs::write(folder.path().join(".passwords.new"), "left behind").expect("a file");
        replace(&path, "ann:2\n").expect("written");
        assert_eq!(mode(), 0o640);
        assert_eq!(fs::read_to_string(&path).expect("it"), "ann:2\n");
        let files = fs::read_dir(folder.path()).expect("the folder").count();
        assert_eq!(files, 1);
    }
}
