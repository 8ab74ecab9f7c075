//! MQTT 3.1, 3.1.1 and 5.0 wire format, strict and sans-IO.
#![no_std]
