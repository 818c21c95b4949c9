package shop

import shop.items.Item

/**
 * Carts, see load(x).
 * Call close(it) when done.
 */
@Entity("cart")
class Cart(
  private val items: List<Item>,
  val size: Int = sizeOf(items), //= sizeOf
) : Base(items), Store by lazyStore(1) { //= Base lazyStore
  private val found by lazy { findAll<Item>(items) } //= lazy findAll
  var count: Int
    get() = counted(this) //= counted
    set(value) {
      recount(value) //= recount
    }

  init {
    require(items.isNotEmpty()) { "gone(x)" } //= require isNotEmpty
  }

  constructor(name: String) : this(listOf(name), 1) { //= listOf
    register(name) //= register
  }

  override fun total(rate: Double): Double {
    val sum = items.filter { keep(it) }.sumOf { price(it) } //= filter keep sumOf price
    if (!ready(sum)) { //= ready
      throw CartException("bad ${nameOf(sum)}") //= CartException nameOf
    } else {
      report(::describe) //= report
    }
    return sum
  }

  abstract fun close(x: Int)

  fun kind(event: Event): String =
    when (event) {
      is Added -> show(event.item) //= show
      is Removed -> {
        forget(event) //= forget
        "gone"
      }
      in known(event) -> hide(event) //= known hide
      else -> fallback() //= fallback
    }

  suspend fun load(id: String): Item? {
    try {
      val item = client.get<Item>(id)?.let { wrap(it) } //= get let wrap
      return item!!.open() //= open
    } catch (e: IOException) {
      retry(e) //= retry
    } finally {
      release() //= release
    }
    run { //= run
      step(id) //= step
    }
    return null
  }

  companion object : Factory<Item>() { //= Factory
    const val LIMIT = 3
    @JvmStatic
    fun create(x: Int) = build(x) //= build
  }

  enum class Kind(val size: Int) {
    SMALL(1),
    LARGE(large(2)) { //= large
      override fun weight() = weigh(this) //= weigh
    },
    HUGE(3);

    fun isBig() = compare(size) //= compare
  }
}

@Test
fun adds() {
  val text = """
    drop(x) ${label(1)} //= label
  """
  assertThat(text) //= assertThat
    .isEqualTo(expected(text)) //= isEqualTo expected
}
