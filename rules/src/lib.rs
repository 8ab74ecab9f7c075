//! Stream rules: windows and aggregates over MQTT topics.
