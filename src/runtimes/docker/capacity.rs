//! What the engine's host has left.

use std::path::Path;

use crate::domain::app::observed::Capacity;

const GIB: f64 = 1_073_741_824.0;

/// Cores are the engine's; memory is read from the kernel, disk from where the engine (else the applications' folder)
/// keeps its own.
#[allow(clippy::cast_precision_loss, reason = "GiB need no more digits")]
pub fn of(cores: i64, memory_total: i64, proc: &Path, places: &[&Path]) -> Capacity {
    let text = std::fs::read_to_string(proc.join("meminfo")).unwrap_or_default();
    // Without the kernel's word (an engine elsewhere) what there is at all is the best guess.
    let memory = available(&text).map_or(memory_total as f64, |octets| octets as f64);
    let disk = places.iter().find_map(|place| free(place)).unwrap_or_default();
    Capacity { cores: cores as f64, memory: memory / GIB, disk: disk as f64 / GIB }
}

/// Octets of memory that are available, from the kernel's `meminfo`.
pub fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Octets that are free at `place`, or at the nearest folder above it that is there.
fn free(place: &Path) -> Option<u64> {
    let there = place.ancestors().find(|path| path.is_dir() && path.parent().is_some()).or(Some(place))?;
    let stat = rustix::fs::statvfs(there).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_and_disk_is_that_of_the_nearest_folder() {
        assert_eq!(available("MemTotal: 8 kB\nMemAvailable:   2048 kB\n"), Some(2 << 20));
        assert_eq!(available("MemTotal: 8 kB\n"), None);
        let home = tempfile::tempdir().unwrap();
        let known = of(2, 1 << 30, Path::new("/nowhere"), &[&home.path().join("not/yet")]);
        assert!(known.disk > 0.0 && (known.memory - 1.0).abs() < 1e-9, "{known:?}");
    }
}
