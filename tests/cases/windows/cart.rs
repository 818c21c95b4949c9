//! Carts, see load(x).
use crate::store::{
    Item,
    Store,
};

#[derive(Debug)]
pub enum Event {
    Created(User),
    Deleted(i64),
    Renamed { from: String, to: String },
    Merged(User),
    Closed,
}

pub struct Cart {
    pub items: Vec<Item>,
    on_done: Box<dyn Fn(u8) -> u8>,
}

pub trait Keeper {
    type Error;
    fn get(&self, id: &str) -> Option<Item>;
    fn put(&mut self, item: Item) -> Result<(), Self::Error>;
}

extern "C" {
    fn close(fd: i32) -> i32;
    fn open(path: *const u8, flags: i32) -> i32;
}

impl<T> Cart<T>
where
    T: Into<Item> + 'static,
{
    pub fn new(items: Vec<T>) -> Self {
        let all = Vec::<Item>::with_room(3); //= with_room
        Self {
            items: convert(items), //= convert
            on_done: Box::new(|x| step(x)), //= new step
        }
    }

    async fn total(&self, rate: f64) -> Result<f64, Error> {
        let sum = self.items.iter().map(price).sum::<f64>(); //= iter map sum
        let found = fetch(rate).await?.body(); //= fetch body
        if let Wrapped(x) = self.find(sum) { //= find
            return Err(Error::invalid(x)); //= invalid
        } else if ready(found) { //= ready
            info!("run(x) {}", found); //= info
        }
        Ok(sum)
    }
}

fn apply(event: Event) -> Kind {
    match event {
        Event::Created(user) => greet(user), //= greet
        Event::Deleted(id) if known(id) => { //= known
            forget(id); //= forget
            Kind::None
        }
        Event::Merged(user) | Event::Created(user) => join(user), //= join
        Event::Renamed { from, .. } => rename(&from), //= rename
        _ => fallback::<u8>(), //= fallback
    }
}

fn main() {
    let text = r#"drop(x)"#;
    let list = build( //= build
        text,
        make_item(1), //= make_item
    );
    loop {
        while let Some(x) = next_item(list) { //= next_item
            handle(x, |y| { //= handle
                keep(y) //= keep
            });
        }
    }
}
