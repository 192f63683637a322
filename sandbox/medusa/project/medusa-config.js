const { defineConfig } = require("@medusajs/framework/utils")

// Everything that differs from one home to another comes in by the environment (see ../server.py).
module.exports = defineConfig({
  admin: { disable: true },
  projectConfig: {
    databaseUrl: process.env.DATABASE_URL,
    databaseDriverOptions: { ssl: false, connection: { ssl: false } },
    http: {
      storeCors: process.env.STAND_ORIGIN,
      adminCors: process.env.STAND_ORIGIN,
      authCors: process.env.STAND_ORIGIN,
      jwtSecret: process.env.JWT_SECRET,
      cookieSecret: process.env.COOKIE_SECRET,
    },
  },
})
