const { createStep, createWorkflow, StepResponse, WorkflowResponse } = require("@medusajs/framework/workflows-sdk")
const {
  createOrderFulfillmentWorkflow,
  createOrderShipmentWorkflow,
  markOrderFulfillmentAsDeliveredWorkflow,
} = require("@medusajs/medusa/core-flows")

const KEPT_SECONDS = 7 * 24 * 60 * 60 // an execution without it is forgotten as soon as it is done

// The order's parcel with just these units in it, if an attempt that was cut off has packed it.
async function packed(container, orderId, metadata) {
  const wanted = JSON.stringify(metadata)
  const query = container.resolve("query")
  const { data } = await query.graph({ entity: "order", fields: ["id", "fulfillments.*"], filters: { id: orderId } })
  const parcels = data.length ? data[0].fulfillments : []
  return parcels.find((one) => !one.canceled_at && JSON.stringify(one.metadata) === wanted)
}

// A parcel is packed, shipped and delivered: what of it was asked for, and is not done yet.
async function send(container, orderId, parcel) {
  const { items, labels, location_id, metadata } = parcel
  const before = parcel.fulfillment_id ? undefined : await packed(container, orderId, metadata)
  let id = parcel.fulfillment_id || (before && before.id)
  if (!id) {
    const run = { input: { order_id: orderId, items, location_id, metadata } }
    id = (await createOrderFulfillmentWorkflow(container).run(run)).result.id
  }
  if (parcel.ship && !(before && before.shipped_at)) {
    const run = { input: { order_id: orderId, fulfillment_id: id, items, labels } }
    await createOrderShipmentWorkflow(container).run(run)
  }
  if (parcel.deliver && !(before && before.delivered_at)) {
    await markOrderFulfillmentAsDeliveredWorkflow(container).run({ input: { orderId, fulfillmentId: id } })
  }
  return id
}

// An order that fails stops no other. Nothing is undone: what was packed is found and shipped by the next attempt.
async function sendOrder(container, { order_id, parcels, refusal }) {
  const lines = []
  try {
    if (refusal) throw new Error(refusal)
    for (const parcel of parcels) {
      const fulfillment_id = await send(container, order_id, parcel)
      lines.push(...parcel.items.map((item) => ({ ...item, fulfillment_id })))
    }
    return { order_id, status: "ok", lines }
  } catch (error) {
    return { order_id, status: "error", message: error.message, lines }
  }
}

const shipOrdersStep = createStep({ name: "ship-orders", async: true }, async ({ orders }, { container }) => {
  const results = []
  for (const order of orders) results.push(await sendOrder(container, order))
  return new StepResponse(results)
})

createWorkflow({ name: "ship-orders", store: true, retentionTime: KEPT_SECONDS }, (input) => {
  return new WorkflowResponse(shipOrdersStep(input))
})
