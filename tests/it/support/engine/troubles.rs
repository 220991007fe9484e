//! An engine in trouble: a socket before a real engine's own that passes everything on, but what the test told it to
//! answer by itself, or never to answer.

use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// What is done with a call instead of passing it on.
#[derive(Debug, Clone)]
pub enum Does {
    /// It gets this status and body.
    Answers(u16, String),
    /// It gets no answer, ever.
    Hangs,
}

impl Does {
    /// The engine's own way to refuse.
    pub fn fails(words: &str) -> Self {
        Self::Answers(500, serde_json::json!({ "message": words }).to_string())
    }
}

struct Trouble {
    method: String,
    path: String,
    does: Does,
    met: usize,
}

type Troubles = Arc<Mutex<Vec<Trouble>>>;

/// The socket; it serves while it lives.
pub struct Troubled {
    home: TempDir,
    troubles: Troubles,
    serving: JoinHandle<()>,
}

impl Drop for Troubled {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Troubled {
    /// Before the engine at `socket`, without troubles yet.
    pub fn before(socket: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(home.path().join("d.sock")).unwrap();
        let (troubles, socket) = (Troubles::default(), socket.to_owned());
        let known = troubles.clone();
        let serving = tokio::spawn(async move {
            while let Ok((call, _)) = listener.accept().await {
                let (known, socket) = (known.clone(), socket.clone());
                // Who hangs up in the middle ends his call, and nothing else.
                tokio::spawn(async move { drop(serve(call, &known, &socket).await) });
            }
        });
        Self { home, troubles, serving }
    }

    /// Where it listens: `unix:///...`.
    pub fn address(&self) -> String {
        format!("unix://{}", self.home.path().join("d.sock").display())
    }

    /// From now on calls of `method` whose path holds `path` come to this.
    pub fn makes(&self, method: &str, path: &str, does: Does) {
        let trouble = Trouble { method: method.to_owned(), path: path.to_owned(), does, met: 0 };
        self.troubles.lock().unwrap().push(trouble);
    }

    /// How many calls came to anything but the engine, since the last time all was well.
    pub fn met(&self) -> usize {
        self.troubles.lock().unwrap().iter().map(|trouble| trouble.met).sum()
    }

    /// From now on all is well.
    pub fn ends(&self) {
        self.troubles.lock().unwrap().clear();
    }
}

async fn serve(mut call: UnixStream, troubles: &Troubles, socket: &str) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(call.read_u8().await?);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut words = text.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let does = {
        let mut known = troubles.lock().unwrap();
        let mut all = known.iter_mut();
        all.find(|one| one.method == method && path.contains(&one.path)).map(|one| {
            one.met += 1;
            one.does.clone()
        })
    };
    match does {
        None => pass(call, &text, socket).await,
        Some(Does::Answers(status, body)) => {
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            call.write_all((head + &body).as_bytes()).await?;
            call.shutdown().await?;
            drain(&mut call).await
        }
        Some(Does::Hangs) => drain(&mut call).await,
    }
}

/// Reads until the caller hangs up: who closes before that takes the answer back.
async fn drain(call: &mut UnixStream) -> std::io::Result<()> {
    tokio::io::copy(call, &mut tokio::io::sink()).await.map(drop)
}

/// One call a connection, so that each is seen.
async fn pass(mut call: UnixStream, head: &str, socket: &str) -> std::io::Result<()> {
    let mut engine = UnixStream::connect(socket).await?;
    let kept = head.to_lowercase().contains("\r\nupgrade:");
    let head = if kept { head.to_owned() } else { head.replacen("\r\n", "\r\nConnection: close\r\n", 1) };
    engine.write_all(head.as_bytes()).await?;
    copy_bidirectional(&mut call, &mut engine).await.map(drop)
}
