-- A few rows for the sample application, with fixed keys so that running it
-- again adds nothing. Run it on the primary; replication carries them over.

INSERT INTO users (id, email, name) VALUES
  ('0a000000-0000-4000-8000-000000000001', 'buyer-1@example.com', 'First Buyer'),
  ('0a000000-0000-4000-8000-000000000002', 'buyer-2@example.com', 'Second Buyer')
ON CONFLICT DO NOTHING;

INSERT INTO orders (id, user_id, total_cents, status) VALUES
  ('0b000000-0000-4000-8000-000000000001', '0a000000-0000-4000-8000-000000000001', 1250, 'completed'),
  ('0b000000-0000-4000-8000-000000000002', '0a000000-0000-4000-8000-000000000001', 89900, 'pending'),
  ('0b000000-0000-4000-8000-000000000003', '0a000000-0000-4000-8000-000000000002', 0, 'cancelled')
ON CONFLICT DO NOTHING;

INSERT INTO notes (id, user_id, content, metadata) VALUES
  ('0c000000-0000-4000-8000-000000000001', '0a000000-0000-4000-8000-000000000001', 'Rings twice.', '{"priority": "low"}'),
  ('0c000000-0000-4000-8000-000000000002', '0a000000-0000-4000-8000-000000000002',
   repeat('A long note, so that a row does not fit on one page. ', 400), '{"priority": "high", "tags": ["long", "toast"]}')
ON CONFLICT DO NOTHING;
