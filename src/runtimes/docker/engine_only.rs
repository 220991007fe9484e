//! Keys of compose that only a Docker engine knows, put into a container's body. Pure. What can't be read is left out: the
//! template's check speaks of it.

use bollard::models::{ContainerCreateBody, HostConfig};

use crate::domain::app::workload::Service;

/// Puts `service.engine_only` into `body`.
pub fn put(service: &Service, body: &mut ContainerCreateBody) {
    let host = body.host_config.get_or_insert_default();
    for (key, text) in &service.engine_only {
        match key.as_str() {
            "domainname" => body.domainname = Some(text.clone()),
            "mac_address" => {
                let endpoints = body.networking_config.as_mut().and_then(|net| net.endpoints_config.as_mut());
                for endpoint in endpoints.into_iter().flat_map(|all| all.values_mut()) {
                    endpoint.mac_address = Some(text.clone());
                }
            }
            _ => bound(key, text, host),
        }
    }
}

fn bound(key: &str, text: &str, host: &mut HostConfig) {
    let text = text.trim();
    let number = || text.parse::<i64>().ok();
    match key {
        "cgroup_parent" => host.cgroup_parent = Some(text.to_owned()),
        "cpu_period" => host.cpu_period = micros(text),
        "cpu_quota" => host.cpu_quota = micros(text),
        "cpu_shares" => host.cpu_shares = number(),
        "cpuset" => host.cpuset_cpus = Some(text.to_owned()),
        "mem_swappiness" => host.memory_swappiness = number(),
        "memswap_limit" => host.memory_swap = octets(text),
        "oom_kill_disable" => host.oom_kill_disable = text.parse().ok(),
        "oom_score_adj" => host.oom_score_adj = number(),
        "pids_limit" => host.pids_limit = number(),
        "runtime" => host.runtime = Some(text.to_owned()),
        "device_cgroup_rules" => host.device_cgroup_rules = Some(lines(text)),
        "storage_opt" => {
            let pairs = lines(text).into_iter().filter_map(|line| {
                let (name, value) = line.split_once([':', '='])?;
                Some((name.trim().to_owned(), value.trim().to_owned()))
            });
            host.storage_opt = Some(pairs.collect());
        }
        _ => {}
    }
}

fn lines(text: &str) -> Vec<String> {
    let item = |line: &str| line.trim().trim_start_matches("- ").to_owned();
    text.lines().map(item).filter(|line| !line.is_empty()).collect()
}

/// Microseconds: a number, or a time such as `50ms`.
fn micros(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let (text, unit) = match () {
        () if text.ends_with("us") => (text.trim_end_matches("us"), 1),
        () if text.ends_with("ms") => (text.trim_end_matches("ms"), 1_000),
        () => (text.strip_suffix('s')?, 1_000_000),
    };
    text.parse::<i64>().ok()?.checked_mul(unit)
}

/// Octets as compose writes them: `512m`, `1gb`, `-1`.
fn octets(text: &str) -> Option<i64> {
    let lower = text.to_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match lower.get(digits.len()..)?.trim_end_matches("ib").trim_end_matches('b') {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        "t" => 1 << 40,
        _ => return None,
    };
    digits.parse::<i64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_an_engine_knows_reaches_it() {
        let engine_only = [
            ("pids_limit", "100"),
            ("memswap_limit", "1gb"),
            ("cpu_period", "50ms"),
            ("cpuset", "0-1"),
            ("domainname", "example.com"),
            ("oom_kill_disable", "true"),
            ("runtime", "runc"),
            ("mem_swappiness", "much"),
        ];
        let engine_only = engine_only.map(|(key, text)| (key.to_owned(), text.to_owned())).into();
        let mut body = ContainerCreateBody::default();
        put(&Service { engine_only, ..Service::default() }, &mut body);
        let host = body.host_config.unwrap();
        assert_eq!(
            (host.pids_limit, host.memory_swap, host.cpu_period),
            (Some(100), Some(1 << 30), Some(50_000))
        );
        assert_eq!((host.cpuset_cpus.as_deref(), host.oom_kill_disable), (Some("0-1"), Some(true)));
        assert_eq!((host.runtime.as_deref(), host.memory_swappiness), (Some("runc"), None));
        assert_eq!(body.domainname.as_deref(), Some("example.com"));
        assert_eq!(octets("-1"), Some(-1));
    }
}
