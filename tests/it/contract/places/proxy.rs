//! Stands before a name server and falls silent at a message: nothing goes through any more, on any connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

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
    asked: AtomicUsize,
    is_silent: AtomicBool,
    dead: Notify,
}

impl Proxy {
    /// Starts one; it ends with the test.
    pub async fn start(server: SocketAddr, last: usize, moment: Moment) -> (SocketAddr, Arc<Self>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (asked, is_silent, dead) = Default::default();
        let proxy = Arc::new(Self { server, last, moment, asked, is_silent, dead });
        let all = proxy.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(all.clone().serve(stream));
            }
        });
        (at, proxy)
    }

    /// Waits until it has fallen silent, and the last message was worked on if it was to be.
    pub async fn dies(&self) {
        self.dead.notified().await;
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) -> io::Result<()> {
        let behind = TcpStream::connect(self.server).await?;
        behind.set_nodelay(true)?;
        stream.set_nodelay(true)?;
        let ((asks, answers), (answered, asked)) = (stream.into_split(), behind.into_split());
        let (ask, answer) = (self.clone().ask(asks, asked), self.answer(answered, answers));
        tokio::try_join!(ask, answer).map(drop)
    }

    async fn ask(self: Arc<Self>, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
        loop {
            let message = frame(&mut from).await?;
            let number = self.asked.fetch_add(1, Ordering::SeqCst);
            if self.last <= number {
                self.is_silent.store(true, Ordering::SeqCst);
            }
            match (number == self.last, self.moment) {
                (true, Moment::Before) => self.dead.notify_one(),
                (true, Moment::After) => to.write_all(&message).await?,
                (false, _) if number < self.last => to.write_all(&message).await?,
                (false, _) => {}
            }
        }
    }

    async fn answer(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
        loop {
            let message = frame(&mut from).await?;
            match self.is_silent.load(Ordering::SeqCst) {
                // Some answer came after it fell silent: so did the last one's, or it is about to.
                true => self.dead.notify_one(),
                false => to.write_all(&message).await?,
            }
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
