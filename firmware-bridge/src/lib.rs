//! Devices that cannot speak MQTT, brought to a broker.
