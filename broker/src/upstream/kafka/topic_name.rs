//! What the topic of a message is called at Kafka.

/// The name of the Kafka topic for a topic of MQTT: `/` becomes `.`.
pub(super) fn of(topic: &str) -> Result<String, Unfit> {
    let name = topic.replace('/', ".");
    check(&name)?;
    Ok(name)
}

/// Why a topic of MQTT has no name at Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("its Kafka topic would have the character `{0}`")]
    Character(char),
    #[error("its Kafka topic would be `.` or `..`")]
    Dots,
    #[error("the name of its Kafka topic would be longer than 249 characters")]
    TooLong,
}

fn check(name: &str) -> Result<(), Unfit> {
    if let Some(wrong) = name.chars().find(|c| !is_allowed(*c)) {
        return Err(Unfit::Character(wrong));
    }
    match name {
        "." | ".." => Err(Unfit::Dots),
        name if name.len() > LENGTH_MAX => Err(Unfit::TooLong),
        _ => Ok(()),
    }
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// The longest name that Kafka has.
const LENGTH_MAX: usize = 249;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_of_mqtt_is_one_of_kafka_with_other_signs_between_its_levels() {
        assert_eq!(of("site/agg/a-1_x").as_deref(), Ok("site.agg.a-1_x"));
        assert_eq!(of("/a").as_deref(), Ok(".a"));
        assert_eq!(of(&"a".repeat(249)).as_deref(), Ok("a".repeat(249).as_str()));
    }

    #[test]
    fn what_kafka_does_not_allow_has_no_name_there() {
        assert_eq!(of("Living Room"), Err(Unfit::Character(' ')));
        assert_eq!(of("a/ä"), Err(Unfit::Character('ä')));
        assert_eq!(of("$SYS/x"), Err(Unfit::Character('$')));
        assert_eq!(of("/"), Err(Unfit::Dots));
        assert_eq!(of("//"), Err(Unfit::Dots));
        assert_eq!(of(&"a".repeat(250)), Err(Unfit::TooLong));
    }
}
