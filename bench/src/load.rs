//! A cheap HTTP client: one thread, persistent connections, no HTTP library. It measures
//! response bodies and does not parse them.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, sleep_until, timeout},
};

/// The timeout of a response.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The requests of a measurement.
pub(crate) trait Requests: Clone + 'static {
    /// Writes the `n`th request of a connection.
    fn write(&self, connection: usize, n: usize, out: &mut Vec<u8>);
}

impl<F: Fn(usize, usize, &mut Vec<u8>) + Clone + 'static> Requests for F {
    fn write(&self, connection: usize, n: usize, out: &mut Vec<u8>) {
        self(connection, n, out);
    }
}

/// Writes a request with a credential.
pub(crate) fn request(out: &mut Vec<u8>, method: &str, path: &str, token: &str, body: &str) {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: usher\r\nUser-Agent: usher-bench\r\n\
         Coder-Session-Token: {token}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(body.as_bytes());
}

/// Writes a GET request with a credential.
pub(crate) fn get(out: &mut Vec<u8>, path: &str, token: &str) {
    for part in [
        "GET ",
        path,
        " HTTP/1.1\r\nHost: usher\r\nUser-Agent: usher-bench\r\nCoder-Session-Token: ",
        token,
        "\r\n\r\n",
    ] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// How requests are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// The address of the server.
    pub(crate) address: SocketAddr,
    /// The number of concurrent connections.
    pub(crate) connections: usize,
    /// How long to send.
    pub(crate) duration: Duration,
    /// The interval between two requests of a connection; `None` sends the next one as soon
    /// as the response has arrived.
    pub(crate) pace: Option<Duration>,
    /// The most requests that a connection sends.
    pub(crate) most: usize,
}

impl Load {
    /// Requests as fast as responses arrive.
    pub(crate) fn new(address: SocketAddr, connections: usize, duration: Duration) -> Self {
        Self {
            address,
            connections,
            duration,
            pace: None,
            most: usize::MAX,
        }
    }

    /// Sends the requests and fails if a response is not 2xx.
    pub(crate) async fn run(self, requests: impl Requests) -> Result<Latencies> {
        let local = tokio::task::LocalSet::new();
        local.run_until(self.send(requests)).await
    }

    async fn send(self, requests: impl Requests) -> Result<Latencies> {
        let begin = Instant::now();
        let mut connections = JoinSet::new();
        for connection in 0..self.connections {
            connections.spawn_local(self.drive(connection, begin, requests.clone()));
        }
        let mut all = Vec::new();
        while let Some(driven) = connections.join_next().await {
            all.append(&mut driven??);
        }
        Ok(Latencies::new(all, begin.elapsed()))
    }

    async fn drive(
        self,
        connection: usize,
        begin: Instant,
        requests: impl Requests,
    ) -> Result<Vec<u32>> {
        let mut client = Client::connect(self.address).await?;
        let mut latencies = Vec::new();
        let mut request = Vec::new();
        for n in 0..self.most {
            if let Some(pace) = self.pace {
                let at = begin + pace * n as u32;
                sleep_until(at.into()).await;
            }
            if begin.elapsed() >= self.duration {
                break;
            }
            request.clear();
            requests.write(connection, n, &mut request);
            let start = Instant::now();
            let response = client.send(&request).await?;
            latencies.push(start.elapsed().as_micros() as u32);
            ensure!(
                (200..300).contains(&response.status),
                "{} to {}: {}",
                response.status,
                String::from_utf8_lossy(&request),
                String::from_utf8_lossy(client.rest())
            );
        }
        Ok(latencies)
    }
}

/// Sorted response times.
#[derive(Clone, Debug)]
pub(crate) struct Latencies {
    micros: Vec<u32>,
    elapsed: Duration,
}

impl Latencies {
    fn new(mut micros: Vec<u32>, elapsed: Duration) -> Self {
        micros.sort_unstable();
        Self { micros, elapsed }
    }

    pub(crate) fn count(&self) -> usize {
        self.micros.len()
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.count() as f64 / self.elapsed.as_secs_f64()
    }

    /// The response time in milliseconds that this share of the requests did not exceed.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let at = (self.count() as f64 * share).ceil() as usize;
        let micros = self.micros.get(at.max(1) - 1).or(self.micros.last());
        f64::from(*micros.unwrap_or(&0)) / 1000.0
    }
}

/// A response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// When the first byte of the body arrived.
    pub(crate) first_byte: Option<Instant>,
    /// The length of the body on the wire.
    pub(crate) bytes: u64,
}

/// A connection.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// The number of bytes in the buffer.
    filled: usize,
}

impl Client {
    /// Connects, and retries while the port is closed.
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        let end = Instant::now() + TIMEOUT;
        let stream = loop {
            match TcpStream::connect(address).await {
                Ok(stream) => break stream,
                Err(error) if Instant::now() > end => return Err(error.into()),
                Err(_) => sleep(Duration::from_micros(200)).await,
            }
        };
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: vec![0; 64 * 1024],
            filled: 0,
        })
    }

    /// Sends a request and reads its response to the end.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<Response> {
        self.send_within(TIMEOUT, request).await
    }

    /// The same with another timeout.
    pub(crate) async fn send_within(
        &mut self,
        limit: Duration,
        request: &[u8],
    ) -> Result<Response> {
        timeout(limit, self.exchange(request))
            .await
            .context("the response took too long")?
    }

    /// What was read last, for error messages.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<Response> {
        self.stream.write_all(request).await?;
        self.filled = 0;
        let head_ends = loop {
            self.fill(self.filled).await?;
            if let Some(at) = find(&self.buffer[..self.filled], b"\r\n\r\n") {
                break at + 4;
            }
            ensure!(
                self.filled < self.buffer.len(),
                "the response head is too long"
            );
        };
        let head = Head::parse(&self.buffer[..head_ends])?;
        let mut response = Response {
            status: head.status,
            first_byte: (self.filled > head_ends).then(Instant::now),
            bytes: 0,
        };
        match head.length {
            Some(length) => {
                response.bytes = (self.filled - head_ends) as u64;
                while response.bytes < length {
                    let from = if head_ends + length as usize > self.buffer.len() {
                        0
                    } else {
                        self.filled
                    };
                    response.bytes += self.fill(from).await? as u64;
                    response.first_byte = response.first_byte.or_else(|| Some(Instant::now()));
                }
                ensure!(
                    response.bytes == length,
                    "the body is longer than its Content-Length"
                );
            }
            None => self.read_chunks(head_ends, &mut response).await?,
        }
        Ok(response)
    }

    /// Reads to the last chunk of a chunked body.
    async fn read_chunks(&mut self, head_ends: usize, response: &mut Response) -> Result<()> {
        const END: &[u8] = b"\r\n0\r\n\r\n";
        response.bytes = (self.filled - head_ends) as u64;
        // The last bytes, which may span two reads.
        let mut end = self.buffer[head_ends - 2..self.filled].to_vec();
        while !end.ends_with(END) {
            let keep = end.len().saturating_sub(END.len());
            end.drain(..keep);
            let count = self.fill(0).await?;
            response.first_byte = response.first_byte.or_else(|| Some(Instant::now()));
            response.bytes += count as u64;
            let last = count.saturating_sub(END.len());
            end.extend_from_slice(&self.buffer[last..count]);
        }
        Ok(())
    }

    async fn fill(&mut self, from: usize) -> Result<usize> {
        let count = self.stream.read(&mut self.buffer[from..]).await?;
        if count == 0 {
            bail!("the server closed the connection");
        }
        self.filled = from + count;
        Ok(count)
    }
}

struct Head {
    status: u16,
    /// `None` if the body is chunked.
    length: Option<u64>,
}

impl Head {
    fn parse(head: &[u8]) -> Result<Self> {
        let status = head.get(9..12).context("the response is not HTTP")?;
        let status: u16 = str::from_utf8(status)?.parse()?;
        if let Some(at) = find(head, b"content-length: ") {
            let digits = head[at + 16..].iter().take_while(|b| b.is_ascii_digit());
            let length = digits.fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
            return Ok(Self {
                status,
                length: Some(length),
            });
        }
        let is_chunked = find(head, b"transfer-encoding: chunked").is_some();
        Ok(Self {
            status,
            length: (!is_chunked).then_some(0),
        })
    }
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|window| window == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_taken_from_the_sorted_times() {
        let latencies = Latencies::new((1..=100).rev().map(|n| n * 1000).collect(), TIMEOUT);
        let close = |share: f64, wanted: f64| (latencies.quantile(share) - wanted).abs() < 1e-9;
        assert!(close(0.5, 50.0) && close(0.99, 99.0) && close(1.0, 100.0) && close(0.0, 1.0));
        assert_eq!(latencies.count(), 100);
    }

    #[test]
    fn a_head_is_parsed_into_status_and_length() {
        let head = Head::parse(b"HTTP/1.1 201 Created\r\ncontent-length: 42\r\n\r\n").unwrap();
        assert_eq!((head.status, head.length), (201, Some(42)));
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_eq!(Head::parse(head).unwrap().length, None);
        let head = b"HTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(Head::parse(head).unwrap().length, Some(0));
    }
}
