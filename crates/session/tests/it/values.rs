//! Values: what goes in comes out, what cannot is refused, and nothing is told of them.

use crate::support::{Bench, Client, Jar, drivers, keepers};
use dframework_session::{Key, SessionHandle};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    fmt::Debug,
};

/// Stores a value in one request and reads it in another.
async fn comes_back<T>(all: &[Bench], value: T)
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    for bench in all {
        let mut jar = Jar::default();
        let seen = bench
            .ok(&mut jar, async |session| {
                session.set("value", &value).await?;
                session.get::<T>("value").await
            })
            .await;
        assert_eq!(seen.as_ref(), Some(&value), "{}: in the same request", bench.driver);
        let seen = bench.ok(&mut jar, async |session| session.get::<T>("value").await).await;
        assert_eq!(seen.as_ref(), Some(&value), "{}: in the next request", bench.driver);
    }
}

#[derive(Serialize, Deserialize, PartialEq, Clone, Debug)]
enum Shape {
    Unit,
    Newtype(Option<i64>),
    Tuple(u8, String),
    Struct { width: f64, inner: Box<Option<Shape>> },
}

#[derive(Serialize, Deserialize, PartialEq, Clone, Debug)]
struct Unit;

#[derive(Serialize, Deserialize, PartialEq, Clone, Debug)]
struct Newtype(u64);

#[derive(Serialize, Deserialize, PartialEq, Eq, Hash, PartialOrd, Ord, Clone, Debug)]
enum Colour {
    Red,
    Green,
}

#[derive(Serialize, Deserialize, PartialEq, Clone, Debug)]
struct Nested {
    id: Newtype,
    pair: (i8, char),
    shapes: Vec<Shape>,
    by_name: BTreeMap<String, Vec<Option<Shape>>>,
    unit: (),
}

#[tokio::test]
async fn integers_come_back() {
    let all = drivers().await;
    comes_back(&all, u64::MAX).await;
    comes_back(&all, i64::MIN).await;
    comes_back(&all, vec![i64::MIN, -1, 0, 1, (1 << 53) + 1, i64::MAX]).await;
    comes_back(&all, vec![u64::MAX, u64::MAX - 1, (1 << 53) + 1, 0]).await;
    comes_back(&all, (u8::MAX, i8::MIN, u16::MAX, i16::MIN, u32::MAX, i32::MIN)).await;
    comes_back(&all, (true, false, 'ß', '\0')).await;
}

#[tokio::test]
async fn finite_floats_come_back_bit_for_bit() {
    let mut floats = vec![
        0.0,
        -0.0,
        0.1,
        0.3,
        1.0 / 3.0,
        1.0,
        100.0,
        1e21,
        1e-7,
        f64::EPSILON,
        f64::MIN_POSITIVE,
        5e-324,
        -5e-324,
        f64::from_bits(0x000f_ffff_ffff_ffff),
        f64::MAX,
        f64::MIN,
        9_007_199_254_740_993.0,
        f64::from_bits(0x000f_ffff_ffff_fffe),
        123_456_789.123_456_79,
    ];
    // Every exponent and all sorts of fractions, from a generator that gives the same each time.
    let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..20_000 {
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let float = f64::from_bits(bits ^ (bits >> 29));
        floats.extend(float.is_finite().then_some(float));
    }
    let small: Vec<f32> =
        vec![0.0, -0.0, 0.1, 1.0 / 3.0, f32::MAX, f32::MIN_POSITIVE, f32::from_bits(1)];
    for bench in keepers().await {
        let mut jar = Jar::default();
        bench
            .ok(&mut jar, async |session| {
                session.set("small", &small).await?;
                session.set("one", -0.0).await?;
                session.set("floats", &floats).await
            })
            .await;
        let read: Vec<f64> = bench.peek(&jar, "floats").await.unwrap();
        let bits = |floats: &[f64]| floats.iter().map(|float| float.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&read), bits(&floats), "{}", bench.driver);
        let one: f64 = bench.peek(&jar, "one").await.unwrap();
        assert_eq!(one.to_bits(), (-0.0_f64).to_bits(), "{}", bench.driver);
        let read: Vec<f32> = bench.peek(&jar, "small").await.unwrap();
        let bits = |floats: &[f32]| floats.iter().map(|float| float.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&read), bits(&small), "{}", bench.driver);
    }
}

#[tokio::test]
async fn text_and_bytes_come_back() {
    let all = drivers().await;
    for text in [
        "",
        "null",
        "plain",
        "\"quoted\" \\ and / more",
        "line\nline\r\n\ttab",
        "NUL \0 bell \u{7} escape \u{1b} delete \u{7f}",
        "äöü 漢字 👩‍👩‍👧‍👦 \u{202e} \u{2028}\u{2029} \u{feff} \u{10ffff}",
        "</script>; Path=/",
    ] {
        comes_back(&all, text.to_owned()).await;
        comes_back(&all, BTreeMap::from([(text.to_owned(), text.to_owned())])).await;
    }
    comes_back(&all, (0..=255).collect::<Vec<u8>>()).await;
    comes_back(&all, Vec::<u8>::new()).await;
}

#[tokio::test]
async fn options_enums_and_structs_come_back() {
    let all = drivers().await;
    comes_back(&all, Some(5)).await;
    comes_back(&all, None::<u8>).await;
    comes_back(&all, vec![Some(1), None]).await;
    comes_back(&all, Unit).await;
    comes_back(&all, ()).await;
    comes_back(&all, Newtype(u64::MAX)).await;
    let shapes = vec![
        Shape::Unit,
        Shape::Newtype(Some(i64::MIN)),
        Shape::Newtype(None),
        Shape::Tuple(7, "seven".to_owned()),
        Shape::Struct { width: -0.5, inner: Box::new(None) },
        Shape::Struct { width: 1e300, inner: Box::new(Some(Shape::Unit)) },
    ];
    for shape in &shapes {
        comes_back(&all, shape.clone()).await;
    }
    comes_back(
        &all,
        Nested {
            id: Newtype(1),
            pair: (-1, '"'),
            by_name: BTreeMap::from([(String::new(), vec![None, Some(shapes[4].clone())])]),
            shapes,
            unit: (),
        },
    )
    .await;
}

#[tokio::test]
async fn maps_with_text_and_integer_keys_come_back() {
    let all = drivers().await;
    comes_back(&all, BTreeMap::from([("a.b".to_owned(), 1), (String::new(), 2)])).await;
    comes_back(&all, HashMap::from([(u64::MAX, "max".to_owned()), (0, "zero".to_owned())])).await;
    comes_back(&all, BTreeMap::from([(i64::MIN, 1), (-1, 2), (i64::MAX, 3)])).await;
    comes_back(&all, BTreeMap::from([('x', true)])).await;
    comes_back(&all, BTreeMap::from([(Colour::Red, 1), (Colour::Green, 2)])).await;
    comes_back(&all, BTreeMap::<String, u8>::new()).await;
    comes_back(&all, json!({ "a": [1, 2.5, null, { "b": "c" }], "d": u64::MAX })).await;
}

#[tokio::test]
async fn what_is_nested_deeply_is_refused_or_comes_back() {
    for bench in drivers().await {
        for depth in [10, 127, 128, 500] {
            let value = (0..depth).fold(json!("core"), |inner, _| json!([inner]));
            let session = bench.open(&Jar::default(), Client::Plain, "GET");
            if let Err(error) = session.set("deep", &value).await {
                assert!(error.is_invalid() && depth > 100, "{error}");
                continue;
            }
            let read = session.get::<Value>("deep").await;
            assert!(read.is_ok(), "{}, {depth} deep: {read:?}", bench.driver);
        }
    }
}

/// A value that must be refused, whatever its type, and what is wrong with it.
async fn is_refused<T: Serialize>(all: &[Bench], what: &str, value: T) {
    for bench in all {
        let mut jar = Jar::default();
        bench.ok(&mut jar, async |session| session.set("other", 1).await).await;
        let before = jar.clone();
        let (result, head) = bench
            .request(&mut jar, Client::Plain, 200, async |session| {
                let set = session.set("the key", &value).await;
                let flash = session.flash("the key", &value).await;
                assert!(!session.exists("the key").await?, "{what}: something is there");
                assert!(flash.is_err(), "{what}: flashed");
                set
            })
            .await;
        let place = format!("{}: {what}", bench.driver);
        let error = result.expect_err(&place);
        assert!(error.is_invalid(), "{place}: {error}");
        assert_eq!(error.status(), 500, "{place}");
        assert!(error.to_string().contains("\"the key\""), "{place}: {error}");
        assert_eq!(head.set_cookies, [""; 0], "{place}");
        assert_eq!(jar, before);
        assert_eq!(bench.peek::<Value>(&jar, "the key").await, None, "{place}");
    }
}

#[derive(Serialize)]
enum Measure {
    Newtype(f64),
    Tuple(u8, f64),
    Struct { value: f32 },
}

#[derive(Serialize)]
struct Wrapper<T>(T);

#[derive(Serialize)]
struct TupleStruct(u8, f64);

#[derive(Serialize)]
struct Deep<T> {
    list: Vec<Option<BTreeMap<&'static str, T>>>,
}

fn deep<T>(value: T) -> Deep<T> {
    Deep { list: vec![None, Some(BTreeMap::from([("value", value)]))] }
}

#[tokio::test]
async fn floats_that_are_not_finite_are_refused_wherever_they_are() {
    let all = drivers().await;
    for float in [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        #[expect(clippy::cast_possible_truncation, reason = "what is not finite stays so")]
        let small = float as f32;
        is_refused(&all, "alone", float).await;
        is_refused(&all, "half as wide", small).await;
        is_refused(&all, "Option", Some(float)).await;
        is_refused(&all, "Vec", vec![1.0, float, 2.0]).await;
        is_refused(&all, "Vec beside None", vec![None, Some(1.0), Some(float)]).await;
        is_refused(&all, "tuple", (1, float)).await;
        is_refused(&all, "array", [float; 2]).await;
        is_refused(&all, "map value", BTreeMap::from([("a", 1.0), ("b", float)])).await;
        is_refused(&all, "newtype", Wrapper(float)).await;
        is_refused(&all, "tuple struct", TupleStruct(1, float)).await;
        is_refused(&all, "struct", deep(float)).await;
        is_refused(&all, "newtype variant", Measure::Newtype(float)).await;
        is_refused(&all, "tuple variant", Measure::Tuple(1, float)).await;
        is_refused(&all, "struct variant", Measure::Struct { value: small }).await;
        is_refused(&all, "deep inside", deep(Wrapper((Some(Measure::Newtype(float)), "x")))).await;
    }
}

/// A map with one entry, whose key need not have an order.
struct Pair<K>(K);

impl<K: Serialize> Serialize for Pair<K> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(&self.0, 1)])
    }
}

#[tokio::test]
async fn maps_whose_keys_are_neither_text_nor_integers_are_refused() {
    let all = drivers().await;
    is_refused(&all, "bool", BTreeMap::from([(true, 1)])).await;
    is_refused(&all, "float", Pair(1.5)).await;
    is_refused(&all, "whole float", Pair(1.0)).await;
    is_refused(&all, "narrow float", Pair(1.5_f32)).await;
    is_refused(&all, "NaN", Pair(f64::NAN)).await;
    is_refused(&all, "tuple", BTreeMap::from([((1, 2), 1)])).await;
    is_refused(&all, "struct", Pair(deep(1))).await;
    is_refused(&all, "list", BTreeMap::from([(vec![1], 1)])).await;
    is_refused(&all, "null", BTreeMap::from([((), 1)])).await;
    is_refused(&all, "absent", BTreeMap::from([(None::<String>, 1)])).await;
    is_refused(&all, "wrapped bool", Pair(Wrapper(true))).await;
    is_refused(&all, "deep inside", deep(Pair(true))).await;
}

#[tokio::test]
async fn a_value_that_does_not_serialize_is_refused() {
    struct Fails;
    impl Serialize for Fails {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no"))
        }
    }

    let all = drivers().await;
    is_refused(&all, "it fails", Fails).await;
    is_refused(&all, "it fails inside", deep(Fails)).await;
}

#[tokio::test]
async fn a_refused_value_leaves_the_one_before() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        bench.ok(&mut jar, async |session| session.set("ratio", 0.5).await).await;
        bench
            .ok(&mut jar, async |session| {
                assert!(session.set("ratio", f64::NAN).await.unwrap_err().is_invalid());
                let updated = session.update("ratio", |_: Option<f64>| f64::INFINITY).await;
                assert!(updated.unwrap_err().is_invalid());
                assert_eq!(session.get("ratio").await?, Some(0.5));
                Ok(())
            })
            .await;
        assert_eq!(bench.peek(&jar, "ratio").await, Some(0.5), "{}", bench.driver);
    }
}

#[tokio::test]
async fn a_wrong_type_names_key_and_types_and_leaves_the_value() {
    const SECRET: &str = "hunter2";
    async fn read<T: DeserializeOwned + Debug>(session: &SessionHandle, key: &str) -> String {
        let error = session.get::<T>(key).await.unwrap_err();
        assert!(error.is_wrong_type(), "{error}");
        assert_eq!(error.status(), 500);
        format!("{error} {error:?}")
    }
    for bench in drivers().await {
        let mut jar = Jar::default();
        bench
            .ok(&mut jar, async |session| {
                session.set("text", SECRET).await?;
                session.set("list", [SECRET]).await?;
                session.set("object", json!({ SECRET: SECRET })).await?;
                session.set("number", 4_611_686_018_i64).await?;
                session.set("float", 0.125).await?;
                session.set("flag", true).await
            })
            .await;
        let before = jar.clone();
        bench
            .ok(&mut jar, async |session| {
                for (key, stored, asked, message) in [
                    ("text", "a string", "u64", read::<u64>(&session, "text").await),
                    ("text", "a string", "Colour", read::<Colour>(&session, "text").await),
                    ("list", "a list", "bool", read::<bool>(&session, "list").await),
                    ("list", "a list", "Vec<u8>", read::<Vec<u8>>(&session, "list").await),
                    ("object", "an object", "String", read::<String>(&session, "object").await),
                    ("object", "an object", "Nested", read::<Nested>(&session, "object").await),
                    ("number", "a number", "u8", read::<u8>(&session, "number").await),
                    ("number", "a number", "String", read::<String>(&session, "number").await),
                    ("float", "a number", "i64", read::<i64>(&session, "float").await),
                    ("flag", "a boolean", "Option<", read::<Option<i8>>(&session, "flag").await),
                ] {
                    for part in [format!("{key:?}"), stored.to_owned(), asked.to_owned()] {
                        assert!(message.contains(&part), "{part} is not in: {message}");
                    }
                    for value in [SECRET, "4611686018", "0.125", "true"] {
                        assert!(!message.contains(value), "{value} is in: {message}");
                    }
                }
                assert!(session.get_or("text", &0_u64).await.unwrap_err().is_wrong_type());
                Ok(())
            })
            .await;
        assert_eq!(jar, before);
        assert_eq!(bench.peek(&jar, "text").await, Some(SECRET.to_owned()), "{}", bench.driver);
    }
}

#[tokio::test]
async fn a_stored_null_is_a_value() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        bench.ok(&mut jar, async |session| session.set("coupon", None::<String>).await).await;
        bench
            .ok(&mut jar, async |session| {
                assert!(session.exists("coupon").await?);
                assert!(!session.has("coupon").await?);
                assert_eq!(session.get::<String>("coupon").await?, None);
                assert_eq!(session.get::<Option<String>>("coupon").await?, Some(None));
                assert_eq!(session.get::<Value>("coupon").await?, Some(Value::Null));
                assert_eq!(session.get::<()>("coupon").await?, Some(()));
                assert_eq!(session.get_or("coupon", "none").await?, "none");
                assert_eq!(session.all().await?["coupon"], Value::Null);

                assert!(!session.exists("absent").await?);
                assert!(!session.has("absent").await?);
                assert_eq!(session.get::<Option<String>>("absent").await?, None);
                assert_eq!(session.get::<Value>("absent").await?, None);
                assert_eq!(session.get_or("absent", &5).await?, 5);
                Ok(())
            })
            .await;
    }
}

#[tokio::test]
async fn a_typed_key_says_the_type_once() {
    const NAME: Key<String> = Key::new("user.name");
    const CART: Key<Vec<u32>> = Key::new("cart");
    const VISITS: Key<i64> = Key::new("visits");
    for bench in drivers().await {
        let mut jar = Jar::default();
        bench
            .ok(&mut jar, async |session| {
                session.set(NAME, "guest").await?;
                session.set(NAME, "guest".to_owned()).await?;
                session.set(CART, &vec![1]).await?;
                session.update(CART, |cart| [cart.unwrap_or_default(), vec![2]].concat()).await?;
                session.increment(VISITS, 2).await?;
                session.flash(Key::<bool>::new("new"), true).await
            })
            .await;
        bench
            .ok(&mut jar, async |session| {
                assert_eq!(session.get(NAME).await?.as_deref(), Some("guest"));
                assert_eq!(session.get_or(NAME, "guest").await?, "guest");
                assert_eq!(session.get(CART).await?, Some(vec![1, 2]));
                assert_eq!(session.get(VISITS).await?, Some(2));
                assert!(session.has(NAME).await?);
                assert!(session.exists("user.name").await?, "a dot is a dot");
                assert!(!session.exists("user").await?);
                assert_eq!(session.get("new".to_owned()).await?, Some(true));
                session.forget(CART).await?;
                session.forget([NAME]).await?;
                assert_eq!(session.get(CART).await?, None);
                Ok(())
            })
            .await;
        assert_eq!(bench.peek::<String>(&jar, "user.name").await, None, "{}", bench.driver);
    }
}
