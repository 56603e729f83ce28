//! core/mail
