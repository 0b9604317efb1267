//! Rows that the database itself makes: copies of one, under keys that lie among all others.
//!
//! Their keys rise, from one end of all keys to the other. So a table grows as fast as the disk takes it, and its pages
//! lie as they would if the sessions had come one by one.

/// The statement that makes copies, from so many (its first parameter) to so many (its second).
macro_rules! copies {
    (postgres, $table:literal, $columns:expr) => {
        concat!(
            "INSERT INTO ", $table, " SELECT decode(lpad(to_hex(number * (72057594037927936 / ($2 - $1))), 14, '0') \
             || md5(random()::text) || left(md5(random()::text), 18), 'hex'), ", $columns,
            " FROM generate_series(0, $2 - $1 - 1) AS number, (SELECT * FROM ", $table, " LIMIT 1) AS one"
        )
    };
    (mysql, $table:literal, $columns:expr) => {
        concat!(
            "INSERT INTO ", $table, " SELECT UNHEX(CONCAT(\
             LPAD(HEX(seq * (72057594037927936 DIV (last - first))), 14, '0'), LEFT(SHA2(seq + first, 256), 50))), ",
            $columns, " FROM seq_0_to_9999999, (SELECT ? AS first, ? AS last) AS asked, \
             (SELECT * FROM ", $table, " LIMIT 1) AS one WHERE seq < last - first"
        )
    };
    (sqlite, $table:literal, $columns:expr) => {
        concat!(
            "INSERT INTO ", $table, " WITH RECURSIVE number(n) AS \
             (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < ?2 - ?1) \
             SELECT unhex(printf('%014x', n * (72057594037927936 / (?2 - ?1))) || hex(randomblob(25))), ",
            $columns, " FROM number, (SELECT * FROM ", $table, " LIMIT 1)"
        )
    };
}

pub(crate) use copies;
