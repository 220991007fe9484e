//! Real processes of the release build: their ports, their start, their end, and what they take of memory.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hickory_proto::op::{Edns, Message, Query};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsOption};
use hickory_proto::rr::{Name, RData, RecordType};
use rustix::process::{Pid, Signal, kill_process};

/// One site, running or not.
pub struct Site {
    /// Its data directory.
    pub dir: PathBuf,
    pub dns: SocketAddr,
    pub api: SocketAddr,
    pub ops: SocketAddr,
    /// None: its objects live in a cluster.
    plane: Option<SocketAddr>,
    args: Vec<String>,
    child: Option<Child>,
}

impl Site {
    /// A site with free ports; `args` are added to what every site needs.
    pub fn new(dir: &Path, name: &str, args: &[&str]) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let args = ["--node", name].iter().chain(args).map(|&arg| arg.to_owned()).collect();
        let (dns, api, ops, plane) = (free()?, free()?, free()?, free()?);
        Ok(Self { dir: dir.to_owned(), dns, api, ops, plane: Some(plane), args, child: None })
    }

    /// An operator of a cluster that the kubeconfig leads to.
    pub fn operator(dir: &Path, kubeconfig: &Path, args: &[&str]) -> anyhow::Result<Self> {
        let way = ["--kubeconfig", kubeconfig.to_str().context("a path that is no text")?];
        let mut site = Self::new(dir, "n01", &[&way, args].concat())?;
        site.plane = None;
        Ok(site)
    }

    /// Starts the process; its log goes to `log` beside its data.
    pub fn start(&mut self) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_cocoasyncer"));
        match self.plane {
            Some(plane) => {
                command.arg("standalone").arg("--data-dir").arg(&self.dir);
                command.args(["--plane-listen", &plane.to_string()]);
            }
            None => drop(command.arg("run")),
        }
        for (flag, at) in [("--dns-listen", self.dns), ("--api-listen", self.api), ("--ops-listen", self.ops)]
        {
            command.args([flag, &at.to_string()]);
        }
        command.args(["--log-format", "json"]).args(&self.args);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().context("start the program")?);
        Ok(())
    }

    /// Where it logs.
    pub fn log(&self) -> PathBuf {
        self.dir.with_extension("log")
    }

    /// The kubeconfig that it writes.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.end(Signal::TERM)
    }

    /// Kills it as a power cut would.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.end(Signal::KILL)
    }

    fn end(&mut self, signal: Signal) -> anyhow::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        kill_process(Pid::from_child(&child), signal)?;
        let deadline = Instant::now() + Duration::from_secs(30);
        while child.try_wait()?.is_none() {
            if deadline < Instant::now() {
                child.kill()?;
                child.wait()?;
                anyhow::bail!("it did not stop within 30 s");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Resident memory in MiB: all of it, and the part that is no file's.
    pub fn memory(&self) -> anyhow::Result<(f64, f64)> {
        let id = self.child.as_ref().context("it does not run")?.id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let field = |name: &str| -> anyhow::Result<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such field")?;
            Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
        };
        Ok((field("VmRSS:")?, field("RssAnon:")?))
    }

    /// Seconds of a core that it has used since its start.
    pub fn cpu(&self) -> anyhow::Result<f64> {
        let id = self.child.as_ref().context("it does not run")?.id();
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
        // The second field is a name in brackets, and may hold anything.
        let (_, fields) = stat.rsplit_once(')').context("no such line")?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
        // Linux tells of hundredths of a second here, whatever its own clock does.
        Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
    }

    /// Fails where the process has ended by itself.
    pub fn must_run(&mut self) -> anyhow::Result<()> {
        let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
        anyhow::ensure!(
            ended.is_none(),
            "the program ended by itself: {ended:?}, see {}",
            self.log().display()
        );
        Ok(())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // Nobody is left to hear of a failure.
        let _ = self.kill();
    }
}

/// An address that is free for UDP and TCP now. Not on 127.0.0.1, where whoever asks a site before it listens may be given
/// the very port that it will want.
fn free() -> anyhow::Result<SocketAddr> {
    for _ in 0..64 {
        let udp = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 77), 0))?;
        let at = udp.local_addr()?;
        if TcpListener::bind(at).is_ok() {
            return Ok(at);
        }
    }
    anyhow::bail!("no port is free for both UDP and TCP")
}

/// A question for an A record on behalf of a network.
pub fn question(name: &str, subnet: &str, id: u16) -> anyhow::Result<Vec<u8>> {
    let mut message = Message::query();
    message.metadata.id = id;
    message.add_query(Query::query(Name::from_ascii(format!("{name}."))?, RecordType::A));
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    let subnet: ClientSubnet = subnet.parse().map_err(|_| anyhow::anyhow!("{subnet} is no subnet"))?;
    edns.options_mut().insert(EdnsOption::Subnet(subnet));
    message.set_edns(edns);
    Ok(message.to_vec()?)
}

fn socket(at: SocketAddr, patience: Duration) -> anyhow::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(at)?;
    socket.set_read_timeout(Some(patience))?;
    Ok(socket)
}

/// Asks one question and gives the first answer's TTL; `None` where no answer came.
pub fn ask_ttl(at: SocketAddr, question: &[u8], patience: Duration) -> anyhow::Result<Option<u32>> {
    let (socket, mut buffer) = (socket(at, patience)?, [0; 1500]);
    socket.send(question)?;
    let Ok(length) = socket.recv(&mut buffer) else { return Ok(None) };
    Ok(Message::from_vec(&buffer[..length])?.answers.first().map(|record| record.ttl))
}

/// Asks all `questions` at once and gives the answers' addresses in their order; `None` where none came.
pub fn ask_all(
    at: SocketAddr,
    questions: &[Vec<u8>],
    patience: Duration,
) -> anyhow::Result<Vec<Option<Ipv4Addr>>> {
    let socket = socket(at, patience)?;
    let mut answers = vec![None; questions.len()];
    // A closed port answers with an error here; then there is no answer, and that is one, too.
    let sent = questions.iter().filter(|question| socket.send(question).is_ok()).count();
    let mut buffer = [0; 1500];
    for _ in 0..sent {
        let Ok(length) = socket.recv(&mut buffer) else { break };
        let Ok(reply) = Message::from_vec(&buffer[..length]) else { continue };
        let of = questions.iter().position(|question| question[..2] == buffer[..2]);
        let address = reply.answers.iter().find_map(|record| match &record.data {
            RData::A(address) => Some(address.0),
            _ => None,
        });
        if let Some(of) = of {
            answers[of] = address;
        }
    }
    Ok(answers)
}
