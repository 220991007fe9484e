//! Stands before a name server and falls silent at a message: nothing goes through any more, on any connection.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::contract::bench::Moment;

/// What all connections know.
pub struct Proxy {
    server: SocketAddr,
    /// The message at which it falls silent.
    last: usize,
    moment: Moment,
    state: Mutex<State>,
    dead: Notify,
}

#[derive(Default)]
struct State {
    asked: usize,
    /// Messages that went through and have no answer yet.
    under_way: usize,
    is_silent: bool,
}

impl Proxy {
    /// Starts one; it ends with the test.
    pub async fn start(server: SocketAddr, last: usize, moment: Moment) -> (SocketAddr, Arc<Self>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (state, dead) = Default::default();
        let proxy = Arc::new(Self { server, last, moment, state, dead });
        let all = proxy.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(all.clone().serve(stream));
            }
        });
        (at, proxy)
    }

    /// Waits until it has fallen silent, and all that went through was worked on.
    pub async fn dies(&self) {
        self.dead.notified().await;
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) -> io::Result<()> {
        let behind = TcpStream::connect(self.server).await?;
        behind.set_nodelay(true)?;
        stream.set_nodelay(true)?;
        let ((asks, answers), (answered, asked)) = (stream.into_split(), behind.into_split());
        let awaited = AtomicBool::new(false);
        let (ask, answer) = (self.ask(&awaited, asks, asked), self.answer(&awaited, answered, answers));
        tokio::try_join!(ask, answer).map(drop)
    }

    async fn ask(
        &self,
        awaited: &AtomicBool,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
    ) -> io::Result<()> {
        loop {
            let message = frame(&mut from).await?;
            let goes = {
                let mut state = self.state.lock().unwrap();
                let number = state.asked;
                state.asked += 1;
                let goes = number < self.last || number == self.last && self.moment == Moment::After;
                state.under_way += usize::from(goes);
                state.is_silent |= self.last <= number;
                self.tell(&state);
                goes
            };
            if goes {
                awaited.store(true, Ordering::SeqCst);
                to.write_all(&message).await?;
            }
        }
    }

    async fn answer(
        &self,
        awaited: &AtomicBool,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
    ) -> io::Result<()> {
        loop {
            let message = frame(&mut from).await?;
            let is_silent = {
                let mut state = self.state.lock().unwrap();
                // A transfer has several messages for an answer.
                state.under_way -= usize::from(awaited.swap(false, Ordering::SeqCst));
                self.tell(&state);
                state.is_silent
            };
            if !is_silent {
                to.write_all(&message).await?;
            }
        }
    }

    fn tell(&self, state: &State) {
        if state.is_silent && state.under_way == 0 {
            self.dead.notify_one();
        }
    }
}

/// A message with its length before it (RFC 1035 section 4.2.2).
async fn frame(from: &mut OwnedReadHalf) -> io::Result<Vec<u8>> {
    let length = from.read_u16().await?;
    let mut message = length.to_be_bytes().to_vec();
    message.resize(2 + usize::from(length), 0);
    from.read_exact(&mut message[2..]).await?;
    Ok(message)
}
