//! Digital inputs and outputs, and PWM.

use weir_config::{Tree, Values};

use super::super::declared::{GPIO, PWM};
use super::super::settings::{Bias, Direction, GpioChip, GpioConfig, PwmConfig, SafeState};
use super::{Builder, milli};

impl Builder<'_> {
    pub(super) fn gpio(&mut self, tree: &Tree) -> Vec<GpioConfig> {
        let mut lines: Vec<GpioConfig> = Vec::new();
        for values in tree.list(&GPIO) {
            let line = self.line(values);
            let same = |other: &&GpioConfig| (&other.chip, other.line) == (&line.chip, line.line);
            if let Some(other) = lines.iter().find(same)
                && values.is_given("line")
            {
                let message = format!("line {} is used twice", line.line);
                let help = format!("`{}` uses it already", other.name);
                self.conflict(values.place("line"), &message, "taken", &help);
            }
            lines.push(line);
        }
        lines
    }

    fn line(&mut self, values: &Values) -> GpioConfig {
        let chip = match values.text("chip").as_str() {
            "sim" => GpioChip::Simulated,
            name => GpioChip::Device(name.trim_start_matches("/dev/").to_owned()),
        };
        if let GpioChip::Device(name) = &chip
            && (name.contains('/') || name.starts_with('.'))
        {
            let message = format!("`{name}` cannot be a GPIO chip");
            let help = "for example \"gpiochip0\"; `weir-bridge scan` lists them";
            self.wrong(values.place("chip"), &message, "not a name below /dev", help);
        }
        let direction = if values.choice("direction") == "out" {
            self.only_with(values, "bias", "inputs");
            self.only_with(values, "debounce_ms", "inputs");
            Direction::Out { safe_state: safe_state(values.choice("safe_state")) }
        } else {
            self.only_with(values, "safe_state", "outputs");
            let bias = match values.choice("bias") {
                "disabled" => Bias::Disabled,
                "pull-down" => Bias::PullDown,
                "pull-up" => Bias::PullUp,
                _ => Bias::AsIs,
            };
            Direction::In { bias, debounce_ms: values.whole("debounce_ms") }
        };
        GpioConfig {
            name: self.device(values),
            chip,
            line: values.whole("line"),
            active_low: values.flag("active_low"),
            direction,
        }
    }

    pub(super) fn pwm(&mut self, tree: &Tree) -> Vec<PwmConfig> {
        let mut channels: Vec<PwmConfig> = Vec::new();
        for values in tree.list(&PWM) {
            let channel = PwmConfig {
                name: self.device(values),
                chip: values.whole("chip"),
                channel: values.whole("channel"),
                period_ns: (1e9 / values.number("frequency_hz")).round() as u64,
                safe_milli_pct: milli(values.number("safe_pct")),
            };
            let same =
                |other: &&PwmConfig| (other.chip, other.channel) == (channel.chip, channel.channel);
            if let Some(other) = channels.iter().find(same)
                && values.is_given("channel")
            {
                let message = format!("channel {} is used twice", channel.channel);
                let help = format!("`{}` uses it already", other.name);
                self.conflict(values.place("channel"), &message, "taken", &help);
            }
            channels.push(channel);
        }
        channels
    }
}

fn safe_state(name: &str) -> SafeState {
    match name {
        "keep" => SafeState::Keep,
        "on" => SafeState::On,
        _ => SafeState::Off,
    }
}
