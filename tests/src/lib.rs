//! Simulator, conformance, durability and load tests of Weir.

pub mod campaign {
    //! Clients that keep account while a broker is killed or its power is cut, again and again.

    // A module uses modules listed below it, never above.
    pub mod clients;

    pub mod readers;
    pub mod retained;

    pub mod load;
    pub mod report;
}

#[allow(clippy::print_stderr, reason = "a test that fails says on stderr what there is to see")]
pub mod harness {
    //! Real processes and connections.

    // A module uses modules listed below it, never above.
    pub mod restarted;

    pub mod publisher;
    pub mod subscriber;

    mod session;

    pub mod client;

    pub mod gateway;
    pub mod nats_server;
    pub mod rabbitmq;

    pub mod mosquitto;
    pub mod weir;

    pub mod amqp;
    pub mod folder;
    pub mod foreign;
    pub mod http_service;
    pub mod jetstream;
    pub mod ports;
    pub mod process;
    pub mod proxy;
    pub mod wait;
}

pub mod sim;
