//! Sensors and links for microcontrollers, no_std without alloc.
#![no_std]
