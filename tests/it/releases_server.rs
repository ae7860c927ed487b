//! A web server on loopback that answers as it is told to.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// What the server answers under a path.
#[derive(Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// Bytes of the body that are sent before the connection is closed.
    pub(crate) sent: usize,
}

impl Reply {
    pub(crate) fn ok(body: Vec<u8>) -> Self {
        let sent = body.len();
        Self {
            status: 200,
            body,
            sent,
        }
    }
}

type Routes = BTreeMap<String, Reply>;

/// A web server on loopback, on a port that the system chooses, until it is dropped.
pub(crate) struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
    routes: Arc<Mutex<Routes>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let routes = Arc::new(Mutex::new(Routes::new()));
        let (log, table) = (Arc::clone(&asked), Arc::clone(&routes));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let path = asked_for(&stream);
                if path == "/stop" {
                    return;
                }
                // Before the answer: whoever has that may ask at once what was asked for.
                log.lock().unwrap().push(path.clone());
                answer(&mut stream, &path, &table);
            }
        });
        Self {
            address,
            asked,
            routes,
            thread: Some(thread),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn serve(&self, path: &str, reply: Reply) {
        self.routes.lock().unwrap().insert(path.to_owned(), reply);
    }

    /// Paths asked for since the last call.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(b"GET /stop HTTP/1.1\r\n\r\n").unwrap();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn asked_for(stream: &TcpStream) -> String {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let head: Vec<_> = lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    let path = head.first().and_then(|line| line.split(' ').nth(1));
    // such as the first words of TLS
    path.unwrap_or("not HTTP").to_owned()
}

fn answer(stream: &mut TcpStream, path: &str, routes: &Mutex<Routes>) {
    let missing = Reply {
        status: 404,
        body: Vec::new(),
        sent: 0,
    };
    let reply = routes.lock().unwrap().get(path).cloned().unwrap_or(missing);
    let (status, length) = (reply.status, reply.body.len());
    let head =
        format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    let sent = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(&reply.body[..reply.sent]));
    drop(sent); // a client that hangs up early is one of the cases
}
