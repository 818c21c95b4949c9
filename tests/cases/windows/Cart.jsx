import React from "react";

export function Cart({ items, onClose }) {
  const [open, setOpen] = useState(false); //= useState
  useEffect(() => { //= useEffect
    subscribe(items); //= subscribe
    return () => unsubscribe(items); //= unsubscribe
  }, [items]);

  return (
    <Panel
      title={format(items.length)} //= format
      onClick={() => {
        setOpen(!open); //= setOpen
        track("open"); //= track
      }}
      style={{ width: widthOf(items) }} //= widthOf
    >
      <Header size="big" />
      {items.map((item) => ( //= map
        <Row
          key={keyOf(item)} //= keyOf
          onDrop={drop}
          value={show(item)} //= show
        >
          {describe(item)} //= describe
        </Row>
      ))}
      {open && <Footer total={sum(items)} />} //= sum
      <p>
        You may call us.
      </p>
    </Panel>
  );
}
