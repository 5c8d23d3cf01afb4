//! The sample messages, as types: what `events/schemas/*.json` describe in JSON Schema. Add your own messages here; a topic whose
//! policy names the schema (`"schema": "orders.v1"`) takes no others.
//!
//! Members that a type does not know are ignored, so a producer can add members without breaking older consumers.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

/// `orders.v1`: an order as the customer placed it. Key: `customer_id`.
///
/// ```
/// use msk_shared::event::Record;
/// use msk_shared::messages::OrderPlaced;
///
/// let value = r#"{"id": "o-1", "customer_id": "c-1", "currency": "EUR", "total": 500, "placed_at": "2026-01-02T03:04:05Z",
///     "items": [{"sku": "a", "quantity": 1, "unit_price": 500}]}"#;
/// let order: OrderPlaced = Record::new("orders", 0, 7).with_value(Some(value)).json()?;
/// assert_eq!((order.total, order.items[0].quantity), (500, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderPlaced {
    /// Id of the order.
    pub id: String,
    /// Who ordered.
    pub customer_id: String,
    /// ISO 4217 code.
    pub currency: String,
    /// What was ordered.
    pub items: Vec<OrderItem>,
    /// Total to pay, in the currency's smallest unit.
    pub total: u64,
    /// When it was placed.
    #[serde(with = "rfc3339")]
    pub placed_at: OffsetDateTime,
    /// The customer's comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// An item of an order.
///
/// ```
/// use msk_shared::messages::OrderItem;
///
/// let item: OrderItem = serde_json::from_str(r#"{"sku": "a-1", "quantity": 2, "unit_price": 250, "colour": "red"}"#)?;
/// assert_eq!(u64::from(item.quantity) * item.unit_price, 500);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderItem {
    /// The stock keeping unit (SKU) ordered.
    pub sku: String,
    /// How many.
    pub quantity: u32,
    /// Price of one unit, in the currency's smallest unit.
    pub unit_price: u64,
}

/// `payments.v1`: a payment reached a new status. Key: `order_id`.
///
/// ```
/// use msk_shared::event::Record;
/// use msk_shared::messages::{PaymentChanged, PaymentStatus};
///
/// let value = r#"{"id": "p-1", "order_id": "o-1", "method": "card", "amount": 500, "currency": "EUR", "status": "failed",
///     "at": "2026-01-02T03:04:05Z", "failure": "the card has expired"}"#;
/// let payment: PaymentChanged = Record::new("payments", 0, 7).with_value(Some(value)).json()?;
/// assert_eq!((payment.status, payment.failure.is_some()), (PaymentStatus::Failed, true));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentChanged {
    /// Id of the payment.
    pub id: String,
    /// The order paid for.
    pub order_id: String,
    /// How the payment is made.
    pub method: PaymentMethod,
    /// Amount, in the currency's smallest unit.
    pub amount: u64,
    /// ISO 4217 code.
    pub currency: String,
    /// The new status.
    pub status: PaymentStatus,
    /// When it changed.
    #[serde(with = "rfc3339")]
    pub at: OffsetDateTime,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// How a payment is made.
///
/// ```
/// use msk_shared::messages::PaymentMethod;
///
/// assert_eq!(serde_json::to_string(&PaymentMethod::Transfer)?, r#""transfer""#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentMethod {
    /// Credit or debit card.
    Card,
    /// Bank transfer.
    Transfer,
    /// Stored balance.
    Wallet,
}

/// The status of a payment.
///
/// ```
/// use msk_shared::messages::PaymentStatus;
///
/// assert_eq!(serde_json::from_str::<PaymentStatus>(r#""captured""#)?, PaymentStatus::Captured);
/// assert!(serde_json::from_str::<PaymentStatus>(r#""lost""#).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// The amount is reserved.
    Authorized,
    /// The amount was collected.
    Captured,
    /// The amount was paid back.
    Refunded,
    /// The payment failed.
    Failed,
}

/// `audit.v1`: somebody did something. Key: `actor`.
///
/// ```
/// use msk_shared::event::Record;
/// use msk_shared::messages::AuditEntry;
///
/// let value = r#"{"id": "a-1", "actor": "u-1", "action": "order.cancel", "resource": "orders/o-1",
///     "at": "2026-01-02T03:04:05Z", "details": {"reason": "late"}}"#;
/// let entry: AuditEntry = Record::new("audit", 0, 7).with_value(Some(value)).json()?;
/// assert_eq!((entry.action.as_str(), &entry.details["reason"]), ("order.cancel", &"late".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Id of the entry.
    pub id: String,
    /// Who did it.
    pub actor: String,
    /// What was done, as words joined by dots.
    pub action: String,
    /// What it was done to.
    pub resource: String,
    /// When it was done.
    #[serde(with = "rfc3339")]
    pub at: OffsetDateTime,
    /// Any further details.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub details: Map<String, Value>,
}

/// A time as RFC 3339 text.
mod rfc3339 {
    use serde::{Deserialize, Deserializer, Serializer, de, ser};
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    pub(super) fn serialize<S: Serializer>(time: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&time.format(&Rfc3339).map_err(ser::Error::custom)?)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OffsetDateTime, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        OffsetDateTime::parse(&text, &Rfc3339).map_err(de::Error::custom)
    }
}
