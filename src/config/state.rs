//! Where state belongs when nobody says: a pure choice among what the environment offers.

use std::path::PathBuf;

/// What the environment says about where state belongs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateHomes {
    /// `$STATE_DIRECTORY`, which systemd sets for a unit with `StateDirectory=`.
    pub systemd: Option<PathBuf>,
    /// `$XDG_STATE_HOME`.
    pub xdg: Option<PathBuf>,
    /// `$HOME`.
    pub home: Option<PathBuf>,
    /// Whether the process is root's.
    pub root: bool,
}

/// The data directory where none was named: systemd's, else `/var/lib/cocoasyncer` for root, else the user's state home.
pub fn default_data_dir(homes: StateHomes) -> PathBuf {
    let StateHomes { systemd, xdg, home, root } = homes;
    match (systemd, xdg, home) {
        (Some(dir), _, _) => dir,
        _ if root => PathBuf::from("/var/lib/cocoasyncer"),
        (None, Some(xdg), _) => xdg.join("cocoasyncer"),
        (None, None, Some(home)) => home.join(".local/state/cocoasyncer"),
        (None, None, None) => PathBuf::from("/var/lib/cocoasyncer"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn state_lies_where_the_system_wants_it() {
        let homes = StateHomes { home: Some("/home/a".into()), ..StateHomes::default() };
        assert_eq!(default_data_dir(homes.clone()), Path::new("/home/a/.local/state/cocoasyncer"));
        let xdg = StateHomes { xdg: Some("/s".into()), ..homes.clone() };
        assert_eq!(default_data_dir(xdg.clone()), Path::new("/s/cocoasyncer"));
        assert_eq!(
            default_data_dir(StateHomes { root: true, ..xdg.clone() }),
            Path::new("/var/lib/cocoasyncer")
        );
        let unit = StateHomes { systemd: Some("/var/lib/x".into()), root: true, ..xdg };
        assert_eq!(default_data_dir(unit), Path::new("/var/lib/x"));
    }
}
