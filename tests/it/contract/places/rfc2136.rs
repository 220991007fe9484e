//! Name servers that take dynamic updates; the truth is what `dig` is given by transfer, of each line's view.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;
use std::process::Stdio;
use std::sync::Arc;

use async_trait::async_trait;
use cocoasyncer::api::vocab::{Family, Line};
use cocoasyncer::domain::addresses::family;
use cocoasyncer::domain::dns_plan::Limits;
use cocoasyncer::domain::names::DnsName;
use cocoasyncer::domain::records::RecordKey;
use cocoasyncer::providers::DnsProvider;
use futures::future::join_all;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::proxy::Proxy;
use crate::contract::bench::{Bench, Doomed, Mark, Moment, Nature, Stranger, THEIR_TTL, Truth, name, row};
use crate::support::servers::{self, NameServer, ZONE, secret};

struct Server(NameServer);

pub async fn bind() -> Option<Box<dyn Bench>> {
    servers::bind::with_views().await.map(boxed)
}

pub async fn knot() -> Option<Box<dyn Bench>> {
    servers::knot::server().await.map(boxed)
}

pub async fn powerdns() -> Option<Box<dyn Bench>> {
    servers::pdns::server().await.map(boxed)
}

fn boxed(server: NameServer) -> Box<dyn Bench> {
    Box::new(Server(server))
}

fn credentials(line: Line) -> String {
    let key = format!("k-{}", line.as_str().to_lowercase());
    format!("hmac-sha256:{key}:{}", secret(&key))
}

fn mark(family: Family, owner: &str) -> String {
    format!("heritage=cocoasyncer,v=1,owner={owner},type={}", family.record_type())
}

impl Server {
    /// Changes a line's view as another client.
    async fn update(&self, line: Line, script: &str) {
        let mut command = Command::new("nsupdate");
        command.args(["-v", "-y", &credentials(line)]).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (ip, port) = (self.0.at.ip(), self.0.at.port());
        let script = format!("server {ip} {port}\nzone {ZONE}\n{script}send\n");
        child.stdin.take().unwrap().write_all(script.as_bytes()).await.unwrap();
        let output = child.wait_with_output().await.unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A line's view of the zone: name, TTL, type and the rest of each record.
    async fn transfer(&self, zone: &DnsName, line: Line) -> Vec<[String; 4]> {
        let mut command = Command::new("dig");
        command.args(["+noall", "+answer", "+onesoa", "-y", &credentials(line)]);
        command.args([format!("@{}", self.0.at.ip()), format!("-p{}", self.0.at.port())]);
        let output = command.args([zone.as_str(), "AXFR"]).output().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && !text.contains("Transfer failed"), "{text}");
        let read = |record: &str| {
            let mut words = record.split_whitespace().map(str::to_owned);
            let (name, ttl, _class) = (words.next()?, words.next()?, words.next()?);
            let (kind, rest) = (words.next()?, words.collect::<Vec<_>>().join(" "));
            Some([name.trim_end_matches('.').to_owned(), ttl, kind, rest])
        };
        text.lines().filter_map(read).filter(|[_, _, kind, _]| kind != "SOA").collect()
    }

    async fn truth_of(&self, zone: &DnsName, line: Line) -> Truth {
        let records = self.transfer(zone, line).await;
        let our_mark =
            |text: &str| Family::ALL.into_iter().find(|family| text.trim_matches('"') == mark(*family, "it"));
        let marks = records.iter().filter(|[_, _, kind, _]| kind == "TXT");
        let marked: BTreeSet<(&str, Family)> =
            marks.filter_map(|[name, _, _, text]| Some((name.as_str(), our_mark(text)?))).collect();
        let mut truth = Truth::default();
        let mut met = BTreeSet::new();
        for [name, ttl, kind, value] in &records {
            let address = ["A", "AAAA"].contains(&kind.as_str()).then(|| value.parse::<IpAddr>().unwrap());
            let ours = address.filter(|value| marked.contains(&(name.as_str(), family(*value))));
            match ours {
                Some(value) => {
                    met.insert((name.as_str(), family(value)));
                    let key = RecordKey { name: self::name(name), line, family: family(value) };
                    truth.ours.push(row(&key, &value, ttl.parse().unwrap()));
                }
                None if kind == "TXT" && our_mark(value).is_some() => {}
                None => truth.rest.push(format!("{line} {name} {ttl} {kind} {value}")),
            }
        }
        truth.rest.extend(marked.difference(&met).map(|mark| format!("{line} {mark:?} without a record")));
        truth
    }
}

#[async_trait]
impl Bench for Server {
    fn nature(&self) -> Nature {
        let limits = Limits { lines: self.0.lines.iter().copied().collect(), ttl_floor: 1 };
        Nature {
            limits_below: limits.clone(),
            limits,
            holds: |_| true,
            by_hand: true,
            marks_each: false,
            makes: usize::MAX,
            hosted: true,
        }
    }

    fn provider(&self) -> Arc<dyn DnsProvider> {
        Arc::new(self.0.provider())
    }

    async fn doomed(&self, calls: usize, moment: Moment) -> Option<Doomed> {
        let (at, proxy) = Proxy::start(self.0.at, calls, moment).await;
        let provider = Arc::new(self.0.provider_with(&[("server", &at.to_string())]));
        Some(Doomed { provider, dies: Box::pin(async move { proxy.dies().await }) })
    }

    async fn plant(&self, strangers: &[Stranger]) {
        for line in &self.0.lines {
            let mut script = String::new();
            for stranger in strangers.iter().filter(|stranger| stranger.line == *line) {
                let Stranger { name, kind, value, mark, .. } = stranger;
                let value = match *kind {
                    "MX" => format!("10 {value}."),
                    "CNAME" => format!("{value}."),
                    "TXT" => format!("\"{value}\""),
                    _ => value.clone(),
                };
                writeln!(script, "update add {name}. {THEIR_TTL} {kind} {value}").unwrap();
                if let (Mark::You, Some(key)) = (mark, stranger.key()) {
                    let text = self::mark(key.family, "you");
                    writeln!(script, "update add {name}. {THEIR_TTL} TXT \"{text}\"").unwrap();
                }
                if let Some((at, text)) = stranger.claim() {
                    writeln!(script, "update add {at}. {THEIR_TTL} TXT \"{text}\"").unwrap();
                }
            }
            if !script.is_empty() {
                self.update(*line, &script).await;
            }
        }
    }

    async fn erase(&self, key: &RecordKey) {
        let RecordKey { name, line, family } = key;
        let (kind, mark) = (family.record_type(), mark(*family, "it"));
        let script = format!("update delete {name}. {kind}\nupdate delete {name}. TXT \"{mark}\"\n");
        self.update(*line, &script).await;
    }

    async fn alter(&self, key: &RecordKey, value: IpAddr) {
        let RecordKey { name, line, family } = key;
        let kind = family.record_type();
        let script = format!("update delete {name}. {kind}\nupdate add {name}. 600 {kind} {value}\n");
        self.update(*line, &script).await;
    }

    async fn truth(&self, zone: &DnsName) -> Truth {
        let mut truth = Truth::default();
        for of_line in join_all(self.0.lines.iter().map(|line| self.truth_of(zone, *line))).await {
            truth.ours.extend(of_line.ours);
            truth.rest.extend(of_line.rest);
        }
        truth.sorted()
    }
}
