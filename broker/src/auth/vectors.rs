//! Password files as `mosquitto_passwd` 2.0 wrote them, and a hash of the reference program of
//! Argon2.

/// Made with `mosquitto_passwd -H sha512`.
pub(crate) const FILE_6: &str = "\
ann:$6$QDkKdWh6h93NAeY8$RcDt2JDMmgIiG1VKFXx8CW1x+vPADspikiplnLG+u9ihrS2IsibcuSkH/0jhJg1iNsSYhl+h4tY4hJ2FQPA5cg==
bob:$6$QUhh5mVMwnqCOxtI$mFYtyETwKZwh8HfjDlQ2EVgXaH3b1WSn+Z8RelbcpFPchFi3BZ6XLfhchcqEMt5V/iBt6Nb4ZHbhFaIA7NQ0Ig==
cy:$6$/uayjT51fPxjlP5A$gUDrIiQXpoxc/R/6tJBHgmWv+o9H4n3WXyMgt6TXQ7lVihyCCEznR8oPPO3Cp0kkYplcF1BHQid76XjMKbyNtQ==
";

/// Made with `mosquitto_passwd`.
pub(crate) const FILE_7: &str = "\
ann:$7$101$erNfRx4PC5/Lnpfy$gAyfJ3SW6J46LQUoHjjXgIOygnVxSnbeuU9MXWj1FcVtqIZRPPXHFtIbS2VAHabslRkiTPcuQELKmTzCrxJ0fw==
bob:$7$101$XO1dUei1fJmxBnpP$WiiduxX+7pf1v2Rw03Yqfw3kQzkDUkya+jPCcLw6lRvrFBPiFq0I7QSekfxiA0ZCYwmNV/XWjBO36fS6oATgUA==
";

/// Passwords and their hashes.
type Vectors = &'static [(&'static str, &'static str)];

pub(crate) const SHA512: Vectors = &[
    (
        "secret",
        "$6$QDkKdWh6h93NAeY8$RcDt2JDMmgIiG1VKFXx8CW1x+vPADspikiplnLG+u9ihrS2IsibcuSkH/0jh\
         Jg1iNsSYhl+h4tY4hJ2FQPA5cg==",
    ),
    (
        "pa:ss wörd",
        "$6$QUhh5mVMwnqCOxtI$mFYtyETwKZwh8HfjDlQ2EVgXaH3b1WSn+Z8RelbcpFPchFi3BZ6XLfhchcqE\
         Mt5V/iBt6Nb4ZHbhFaIA7NQ0Ig==",
    ),
    (
        "",
        "$6$/uayjT51fPxjlP5A$gUDrIiQXpoxc/R/6tJBHgmWv+o9H4n3WXyMgt6TXQ7lVihyCCEznR8oPPO3C\
         p0kkYplcF1BHQid76XjMKbyNtQ==",
    ),
];

pub(crate) const PBKDF2: Vectors = &[
    (
        "secret",
        "$7$101$erNfRx4PC5/Lnpfy$gAyfJ3SW6J46LQUoHjjXgIOygnVxSnbeuU9MXWj1FcVtqIZRPPXHFtIb\
         S2VAHabslRkiTPcuQELKmTzCrxJ0fw==",
    ),
    (
        "pa:ss wörd",
        "$7$101$XO1dUei1fJmxBnpP$WiiduxX+7pf1v2Rw03Yqfw3kQzkDUkya+jPCcLw6lRvrFBPiFq0I7QSe\
         kfxiA0ZCYwmNV/XWjBO36fS6oATgUA==",
    ),
];

/// Of the tests of the reference program.
pub(crate) const ARGON2ID: Vectors = &[
    (
        "password",
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
    ),
    (
        "password",
        "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
    ),
];
