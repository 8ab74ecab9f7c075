//! A connection that requests go over, one after the other.
//!
//! It is opened when it is needed. After everything but an answer it is closed: what might still
//! come must not be taken for the answer to a later request. On a serial line, where requests have
//! no numbers, what comes late is waited for and thrown away.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serial2_tokio::{CharSize, FlowControl, SerialPort, Settings, StopBits};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep, timeout};
use tokio_modbus::client::{Client, Context, rtu, tcp};
use tokio_modbus::slave::{Slave, SlaveContext};
use tokio_modbus::{Error, Request as Pdu, Response};

use super::fault::Fault;
use super::group::Request;
use super::register::{Answer, decode, encode};
use super::simulated::{self, SimulatedDevices};
use crate::config::{ModbusEnd, Parity, RegisterPlace, SerialLine, Table, WriteConfig};
use crate::json::Value;

/// Where a connection leads to.
enum End {
    Real(ModbusEnd),
    Simulated(Arc<Mutex<SimulatedDevices>>, fn() -> u64),
}

/// A connection, open or not.
pub struct Line {
    end: End,
    context: Option<Context>,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let is_open = self.context.is_some();
        let end = match &self.end {
            End::Real(end) => Some(end),
            End::Simulated(..) => None,
        };
        formatter
            .debug_struct("Line")
            .field("end", &end)
            .field("is_open", &is_open)
            .finish_non_exhaustive()
    }
}

impl Line {
    /// A connection that is not open yet.
    pub fn new(end: ModbusEnd) -> Self {
        Self { end: End::Real(end), context: None }
    }

    /// A connection to devices that are simulated, not open yet; the clock gives milliseconds of the
    /// Unix epoch. Needs a runtime of tokio when it is used.
    pub fn simulated(devices: SimulatedDevices, now_ms: fn() -> u64) -> Self {
        Self { end: End::Simulated(Arc::new(Mutex::new(devices)), now_ms), context: None }
    }

    /// Reads registers or bits of a device.
    ///
    /// # Errors
    /// There is no answer that can be used.
    pub async fn read(
        &mut self,
        unit: u8,
        request: Request,
        patience: Duration,
    ) -> Result<Answer, Fault> {
        let Request { table, first, count } = request;
        let pdu = match table {
            Table::Coil => Pdu::ReadCoils(first, count),
            Table::Discrete => Pdu::ReadDiscreteInputs(first, count),
            Table::Holding => Pdu::ReadHoldingRegisters(first, count),
            Table::Input => Pdu::ReadInputRegisters(first, count),
        };
        let count = usize::from(count);
        match self.call(unit, pdu, patience).await? {
            Response::ReadCoils(mut bits) | Response::ReadDiscreteInputs(mut bits)
                if bits.len() >= count =>
            {
                // Bits come in bytes.
                bits.truncate(count);
                Ok(Answer::Bits(bits))
            }
            Response::ReadHoldingRegisters(words) | Response::ReadInputRegisters(words)
                if words.len() == count =>
            {
                Ok(Answer::Words(words))
            }
            _ => Err(self.mismatch("another number of registers")),
        }
    }

    /// Writes a value, and reads it back if that is wanted. What the device then holds is given
    /// back.
    ///
    /// # Errors
    /// Why the device does not hold the value, for people.
    pub async fn write(
        &mut self,
        unit: u8,
        write: &WriteConfig,
        value: f64,
        patience: Duration,
    ) -> Result<f64, String> {
        let place = &write.place;
        let words = if place.table.is_bits() { Vec::new() } else { encode(value, place)? };
        let mut result = Err(Fault::Timeout { timeout_ms: 0 });
        for _ in 0..TRIES {
            // A write says what shall be, not by how much: it may come twice.
            result = self.write_once(unit, place, value, &words, patience).await;
            if !matches!(result, Err(Fault::Timeout { .. } | Fault::Transport { .. })) {
                break;
            }
        }
        result.map_err(|fault| fault.to_string())?;
        let written = match place.table.is_bits() {
            true => value,
            false => number(decode(&Answer::Words(words.clone()), 0, place)),
        };
        if !write.read_back {
            return Ok(written);
        }
        let request = Request { table: place.table, first: place.register, count: place.length() };
        let answer = self.read(unit, request, patience).await;
        let answer =
            answer.map_err(|fault| format!("written, but cannot be read back: {fault}"))?;
        let is_same = match &answer {
            Answer::Bits(bits) => bits.first() == Some(&(value != 0.0)),
            Answer::Words(read) => *read == words,
        };
        let read = number(decode(&answer, 0, place));
        if is_same { Ok(read) } else { Err(format!("written {written}, but it reads {read}")) }
    }

    /// What a register that can be written holds.
    ///
    /// # Errors
    /// There is no answer that can be used.
    pub async fn held(
        &mut self,
        unit: u8,
        write: &WriteConfig,
        patience: Duration,
    ) -> Result<f64, Fault> {
        let place = &write.place;
        let request = Request { table: place.table, first: place.register, count: place.length() };
        let answer = self.read(unit, request, patience).await?;
        Ok(number(decode(&answer, 0, place)))
    }

    async fn write_once(
        &mut self,
        unit: u8,
        place: &RegisterPlace,
        value: f64,
        words: &[u16],
        patience: Duration,
    ) -> Result<(), Fault> {
        let first = place.register;
        let pdu = match words {
            [] => Pdu::WriteSingleCoil(first, value != 0.0),
            [word] => Pdu::WriteSingleRegister(first, *word),
            words => Pdu::WriteMultipleRegisters(first, words.into()),
        };
        let is_confirmed = match self.call(unit, pdu, patience).await? {
            Response::WriteSingleCoil(place, bit) => (place, bit) == (first, value != 0.0),
            Response::WriteSingleRegister(place, word) => {
                place == first && words.first() == Some(&word)
            }
            Response::WriteMultipleRegisters(place, count) => {
                (place, usize::from(count)) == (first, words.len())
            }
            _ => false,
        };
        if is_confirmed { Ok(()) } else { Err(self.mismatch("something else was confirmed")) }
    }

    async fn call(
        &mut self,
        unit: u8,
        pdu: Pdu<'_>,
        patience: Duration,
    ) -> Result<Response, Fault> {
        let mut context = match self.context.take() {
            Some(context) => context,
            None => self.open(patience).await?,
        };
        context.set_slave(Slave(unit));
        let answer = timeout(patience, context.call(pdu)).await;
        match answer {
            Ok(Ok(Ok(response))) => {
                self.context = Some(context);
                Ok(response)
            }
            Ok(Ok(Err(code))) => {
                self.context = Some(context);
                Err(Fault::Exception { code: u8::from(code) })
            }
            Ok(Err(Error::Protocol(error))) => {
                drop(context);
                self.let_late_answers_pass(patience).await;
                Err(Fault::Mismatch { reason: shortened(&error.to_string()) })
            }
            Ok(Err(Error::Transport(error))) => Err(transport(&error)),
            Err(_) => {
                drop(context);
                self.let_late_answers_pass(patience).await;
                Err(Fault::Timeout { timeout_ms: patience.as_millis() as u64 })
            }
        }
    }

    async fn open(&self, patience: Duration) -> Result<Context, Fault> {
        match &self.end {
            End::Simulated(devices, now_ms) => {
                Ok(tcp::attach(simulated::connect(devices, *now_ms)))
            }
            End::Real(ModbusEnd::Serial(line)) => {
                let port = open_serial(line).map_err(|error| Fault::Transport {
                    reason: format!("{}: {error}", line.path.display()),
                })?;
                Ok(rtu::attach(port))
            }
            End::Real(ModbusEnd::Tcp(address)) => {
                let connected = timeout(patience, connect(address)).await;
                let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
                let stream = connected
                    .map_err(|error| Fault::Transport { reason: format!("{address}: {error}") })?;
                Ok(tcp::attach(stream))
            }
        }
    }

    /// Over TCP answers have the number of their request, and the connection is gone. On a serial
    /// line the next request waits until the device has had its say; opening discards it.
    async fn let_late_answers_pass(&self, patience: Duration) {
        if matches!(self.end, End::Real(ModbusEnd::Serial(_))) {
            sleep(patience.min(LATE_MAX)).await;
        }
    }

    fn mismatch(&mut self, reason: &str) -> Fault {
        self.context = None;
        Fault::Mismatch { reason: reason.to_owned() }
    }
}

async fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in lookup_host(address).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn open_serial(line: &SerialLine) -> io::Result<SerialPort> {
    let port = SerialPort::open(&line.path, |mut settings: Settings| {
        settings.set_raw();
        settings.set_baud_rate(line.baud)?;
        settings.set_char_size(CharSize::Bits8);
        settings.set_flow_control(FlowControl::None);
        settings.set_parity(match line.parity {
            Parity::Even => serial2_tokio::Parity::Even,
            Parity::None => serial2_tokio::Parity::None,
            Parity::Odd => serial2_tokio::Parity::Odd,
        });
        settings.set_stop_bits(if line.stop_bits == 2 { StopBits::Two } else { StopBits::One });
        Ok(settings)
    })?;
    port.discard_buffers()?;
    Ok(port)
}

fn transport(error: &io::Error) -> Fault {
    Fault::Transport { reason: error.to_string() }
}

/// Texts of the library have whole answers in them.
fn shortened(text: &str) -> String {
    text.chars().take(REASON_CHARS_MAX).collect()
}

/// What was decoded, as a number.
fn number(value: Option<Value>) -> f64 {
    match value {
        Some(Value::Flag(flag)) => f64::from(u8::from(flag)),
        Some(Value::Number(number, _)) => number,
        // Registers are decoded into flags and numbers.
        Some(Value::Decimal(_)) | None => f64::NAN,
    }
}

const TRIES: u32 = 3;
/// How long an answer may be late and is still thrown away.
const LATE_MAX: Duration = Duration::from_millis(500);
const REASON_CHARS_MAX: usize = 120;
