//! Somebody who makes a stream of JetStream and reads it, with the protocol of NATS and no library:
//! what is checked is what the server has, not what the client of the broker makes of it.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};

use super::wait::{LIMIT, until};

/// A stream, and the position up to which it was read.
#[derive(Debug)]
pub struct JetStream {
    address: SocketAddr,
    name: String,
    subjects: Value,
    connection: Option<Connection>,
    read: u64,
}

/// A message of a stream.
#[derive(Debug)]
pub struct Stored {
    /// Where it was published.
    pub subject: String,
    /// What it says.
    pub payload: Vec<u8>,
    headers: String,
}

#[derive(Debug)]
struct Connection {
    reader: BufReader<TcpStream>,
    stream: TcpStream,
    inbox: u64,
}

/// What came.
struct Message {
    subject: String,
    reply: String,
    headers: String,
    payload: Vec<u8>,
}

impl JetStream {
    /// Makes a stream in files that takes what is published below a subject.
    ///
    /// # Panics
    /// The server refuses it.
    #[must_use]
    pub fn create(address: SocketAddr, name: &str, subject: &str) -> Self {
        let subjects = json!([subject]);
        let mut stream =
            Self { address, name: name.to_owned(), subjects, connection: None, read: 0 };
        stream.ask_until("STREAM.CREATE", &stream.config());
        stream
    }

    /// Lets it take everything again.
    ///
    /// # Panics
    /// The server refuses it.
    pub fn open(&mut self) {
        self.ask_until("STREAM.UPDATE", &self.config());
    }

    /// Lets nobody take what is published, since its subject is another one.
    ///
    /// # Panics
    /// The server refuses it.
    pub fn look_away(&mut self) {
        let mut config = self.config();
        config["subjects"] = json!(["away"]);
        self.ask_until("STREAM.UPDATE", &config);
    }

    /// Lets it be full, so that it refuses what is new.
    ///
    /// # Panics
    /// The server refuses it.
    pub fn fill(&mut self) {
        // With a limit below what it has the oldest would go, so nothing may come meanwhile.
        self.look_away();
        let mut config = self.config();
        config["max_msgs"] = self.len().max(1).into();
        self.ask_until("STREAM.UPDATE", &config);
    }

    /// How many messages it has.
    ///
    /// # Panics
    /// The server does not say.
    pub fn len(&mut self) -> u64 {
        let info = self.ask_until("STREAM.INFO", &json!({}));
        info["state"]["last_seq"].as_u64().expect("a position")
    }

    /// Whether it has no message.
    pub fn is_empty(&mut self) -> bool {
        self.len() == 0
    }

    /// What was stored since the last call, in its order.
    ///
    /// # Panics
    /// The server does not give it, or something is missing in between.
    pub fn stored(&mut self) -> Vec<Stored> {
        let count = self.len() - self.read;
        if count == 0 {
            return Vec::new();
        }
        let reader = json!({ "stream_name": self.name, "config": {
            "ack_policy": "none", "deliver_policy": "by_start_sequence",
            "opt_start_seq": self.read + 1, "inactive_threshold": 60_000_000_000_u64 } });
        let made = self.ask_until("CONSUMER.CREATE", &reader);
        let reader = made["name"].as_str().expect("a name").to_owned();
        let mut stored = Vec::new();
        for start in (0..count).step_by(BATCH) {
            let batch = (count - start).min(BATCH as u64);
            let request = json!({ "batch": batch, "expires": 30_000_000_000_u64 });
            let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{reader}", self.name);
            let connection = self.connection.as_mut().expect("it has just answered");
            connection.request(&subject, &request).expect("the server is there");
            for _ in 0..batch {
                let message = connection.next().expect("the server is there");
                self.read += 1;
                // $JS.ACK.STREAM.CONSUMER.DELIVERIES.POSITION and more.
                let position = message.reply.split('.').nth(5).and_then(|at| at.parse().ok());
                assert_eq!(position, Some(self.read), "{} {}", message.reply, message.headers);
                let Message { subject, payload, headers, .. } = message;
                stored.push(Stored { subject, payload, headers });
            }
        }
        stored
    }

    fn config(&self) -> Value {
        json!({ "name": self.name, "subjects": self.subjects, "storage": "file", "discard": "new",
            "duplicate_window": 120_000_000_000_u64, "max_msgs": -1 })
    }

    /// The answer to a request of the interface of JetStream, as soon as there is one.
    fn ask_until(&mut self, what: &str, request: &Value) -> Value {
        let subject = format!("$JS.API.{what}.{}", self.name);
        let answer = until("an answer of JetStream", || {
            let answer = self.ask(&subject, request);
            if answer.is_err() {
                self.connection = None;
            }
            answer.ok().flatten()
        });
        assert!(answer["error"].is_null(), "{subject}: {answer}");
        answer
    }

    /// None when JetStream is not there yet.
    fn ask(&mut self, subject: &str, request: &Value) -> io::Result<Option<Value>> {
        if self.connection.is_none() {
            self.connection = Some(Connection::open(self.address)?);
        }
        let connection = self.connection.as_mut().expect("it is open");
        let inbox = connection.request(subject, request)?;
        loop {
            let message = connection.next()?;
            if message.subject == inbox {
                // Nobody listens to the subject: 503.
                return Ok(serde_json::from_slice(&message.payload).ok());
            }
        }
    }
}

impl Stored {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut pairs = self.headers.lines().filter_map(|line| line.split_once(':'));
        pairs.find(|(found, _)| *found == name).map(|(_, value)| value.trim())
    }
}

impl Connection {
    fn open(address: SocketAddr) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream.try_clone()?);
        reader.read_line(&mut String::new())?;
        let options = json!({ "verbose": false, "headers": true, "no_responders": true });
        write!(stream, "CONNECT {options}\r\nSUB inbox.* 1\r\n")?;
        Ok(Self { reader, stream, inbox: 0 })
    }

    /// Asks, and answers where the answer comes.
    fn request(&mut self, subject: &str, request: &Value) -> io::Result<String> {
        self.inbox += 1;
        let inbox = format!("inbox.{}", self.inbox);
        let text = request.to_string();
        write!(self.stream, "PUB {subject} {inbox} {}\r\n{text}\r\n", text.len())?;
        Ok(inbox)
    }

    fn next(&mut self) -> io::Result<Message> {
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["MSG", subject, _, length] => return self.read(subject, "", "0", length),
                ["MSG", subject, _, reply, length] => {
                    return self.read(subject, reply, "0", length);
                }
                ["HMSG", subject, _, headers, length] => {
                    return self.read(subject, "", headers, length);
                }
                ["HMSG", subject, _, reply, headers, length] => {
                    return self.read(subject, reply, headers, length);
                }
                ["PING"] => self.stream.write_all(b"PONG\r\n")?,
                ["-ERR", ..] => return Err(io::Error::other(line)),
                _ => {}
            }
        }
    }

    fn read(
        &mut self,
        subject: &str,
        reply: &str,
        headers: &str,
        length: &str,
    ) -> io::Result<Message> {
        let number = |text: &str| text.parse::<usize>().map_err(io::Error::other);
        let mut bytes = vec![0; number(length)? + 2];
        self.reader.read_exact(&mut bytes)?;
        bytes.truncate(bytes.len() - 2);
        let payload = bytes.split_off(number(headers)?);
        let headers = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Message { subject: subject.to_owned(), reply: reply.to_owned(), headers, payload })
    }
}

/// Messages that are asked for at a time.
const BATCH: usize = 10_000;
