//! The names by which services call each other, as far as a cluster's DNS can't have them. Where such a name stands as a
//! host's in a sibling's environment or command line, nobody there would find it.

use crate::domain::app::compose::values;
use crate::domain::app::finding::{Code, Effect, Finding, Findings};
use crate::domain::app::verdict::at;
use crate::domain::app::workload::{Service, Workload};

/// Words in the name of a variable or option whose value is a host.
const HOSTS: [&str; 7] = ["HOST", "SERVER", "ADDR", "ENDPOINT", "URL", "URI", "DSN"];

/// Says which names siblings use that a cluster can't give.
pub fn look(workload: &Workload, findings: &mut Findings) {
    for service in &workload.services {
        let names = [
            ("container_name", service.container.as_slice()),
            ("", std::slice::from_ref(&service.name)),
            ("hostname", service.hostname.as_slice()),
            ("networks", &service.aliases),
        ];
        for (key, name) in names.into_iter().flat_map(|(key, names)| names.iter().map(move |it| (key, it))) {
            let resolvable = values::is_dns_label(&name.to_ascii_lowercase());
            let others = || workload.services.iter().filter(|other| other.name != service.name);
            if !name.is_empty() && !resolvable && others().any(|other| calls(other, name)) {
                let effects = (Effect::Fine, Effect::Cannot);
                findings.add(Finding::each(Code::SiblingName, effects, at(service, key), name));
            }
        }
    }
}

/// Whether `service` uses `name` as a host's.
fn calls(service: &Service, name: &str) -> bool {
    let lines = [&service.command, &service.entrypoint];
    let words = lines.into_iter().flatten().chain(service.check.iter().map(|check| &check.command));
    let mut words = words.flat_map(|line| {
        let before = [""].into_iter().chain(line.iter().map(String::as_str));
        before.zip(line)
    });
    let in_words = words.any(|(before, word)| {
        let (option, value) = word.split_once('=').unwrap_or((before, word));
        is_host(option, value, name)
    });
    in_words || service.environment.iter().any(|(key, value)| is_host(key, value, name))
}

/// Whether `name` stands in `value` as a host: with a port, after `//` or `@`, or alone where the key says so.
fn is_host(key: &str, value: &str, name: &str) -> bool {
    let key = key.to_ascii_uppercase();
    let hosts = HOSTS.iter().any(|word| key.contains(word)) || key == "-H";
    let inner = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    value.match_indices(name).any(|(at, _)| {
        let (before, after) = (&value[..at], &value[at + name.len()..]);
        if before.ends_with(inner) || after.starts_with(inner) {
            return false;
        }
        let has_port =
            after.strip_prefix(':').is_some_and(|port| port.starts_with(|c: char| c.is_ascii_digit()));
        let is_item = before.trim_end().is_empty() || before.ends_with([',', ';', ' ']);
        has_port || before.ends_with("//") || before.ends_with('@') || hosts && is_item
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_told_from_a_word_that_reads_the_same() {
        let cases = [
            ("DB_HOST", "my_db", true),
            ("DB_NAME", "my_db", false),
            ("X", "tcp://my_db/x", true),
            ("X", "u:p@my_db/x", true),
            ("X", "my_db:5432", true),
            ("X", "my_db:latest", false),
            ("X", "my_db.example.com:5432", false),
            ("X", "not_my_db:5432", false),
            ("HOSTS", "a,my_db", true),
            ("-h", "my_db", true),
        ];
        for (key, value, expect) in cases {
            assert_eq!(is_host(key, value, "my_db"), expect, "{key}={value}");
        }
    }

    #[test]
    fn only_what_siblings_call_by_a_name_that_dns_cannot_have_is_said() {
        let service = |name: &str, environment: &[(&str, &str)]| Service {
            name: name.into(),
            environment: environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ..Service::default()
        };
        let services = [
            service("web", &[("DB_HOST", "my_db"), ("CACHE_HOST", "Cache"), ("SELF_HOST", "other_one")]),
            service("my_db", &[]),
            service("Cache", &[]),
            service("other_one", &[("A_HOST", "other_one")]),
        ];
        let mut findings = Findings::default();
        look(&Workload { services: services[..3].to_vec(), ..Workload::default() }, &mut findings);
        let found = findings.sorted();
        let found: Vec<&str> = found.iter().map(|finding| finding.subject.as_str()).collect();
        assert_eq!(found, ["my_db"]);
        let mut findings = Findings::default();
        look(&Workload { services: services[2..].to_vec(), ..Workload::default() }, &mut findings);
        assert!(findings.sorted().is_empty());
    }
}
