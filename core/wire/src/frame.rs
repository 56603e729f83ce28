//! Framing (contract: see head comment; to be filled).
