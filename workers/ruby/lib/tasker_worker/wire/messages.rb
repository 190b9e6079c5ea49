# frozen_string_literal: true

module TaskerWorker
  module Wire
    # Every message of the protocol as data: message type → the record of its fields. The codec knows
    # nothing else about messages, in either direction.
    module Messages
      PROTOCOL_VERSION = '1.0'

      def self.field(name, type, **options) = Field.new(name, type, **options)
      def self.optional(name, type, **options) = Field.new(name, type, required: false, **options)

      ENVELOPE = [
        field(:message_type, Types::Name), optional(:protocol_version, Types::Text)
      ].freeze
      FROM_ORCHESTRATOR = [
        *ENVELOPE, field(:orchestrator_id, Types::Name), field(:epoch, Types::Millis)
      ].freeze

      STEP_REF = Record.new(
        field(:batch_id, Types::Uuid), field(:step_id, Types::Id), field(:attempt, Types::Ordinal)
      )
      RUNNING_STEP = Record.new(*STEP_REF.fields, field(:age_ms, Types::Millis))
      INVENTORY = [
        field(:held, Types::List, record: STEP_REF), field(:running, Types::List, record: STEP_REF),
        field(:unacked, Types::List, record: STEP_REF)
      ].freeze
      STEP_ERROR = Record.new(
        field(:message, Types::Text), field(:error_type, Types::Text),
        optional(:error_code, Types::Text), optional(:retryable, Types::Flag),
        optional(:retry_after_seconds, Types::Seconds), optional(:backtrace, Types::List, each: Types::Text),
        optional(:handler_stopped, Types::Flag)
      )
      METADATA = Record.new(
        field(:attempt, Types::Ordinal), field(:retry_limit, Types::Ordinal),
        field(:timeout_ms, Types::PositiveMillis),
        field(:sequence, Types::Ordinal), field(:total_steps, Types::Ordinal),
        field(:created_at, Types::Timestamp),
        field(:idempotency_key, Types::Name), optional(:claim_first, Types::Flag),
        optional(:traceparent, Types::Name), optional(:tries_left, Types::Count)
      )
      STEP_REQUEST = Record.new(
        field(:step_id, Types::Id), field(:task_id, Types::Id), field(:namespace, Types::Name),
        field(:task_name, Types::Name), field(:task_version, Types::Name), field(:step_name, Types::Name),
        field(:handler_class, Types::Name), field(:handler_config, Types::Map),
        field(:task_context, Types::Map), field(:previous_results, Types::Map),
        field(:metadata, Types::Map, record: METADATA)
      )
      STEP_SUMMARY = Record.new(
        field(:step_id, Types::Id), optional(:attempt, Types::Ordinal),
        field(:final_status, Types::ReportStatus),
        optional(:execution_time_ms, Types::Millis), optional(:worker_id, Types::Name)
      )
      STEP_BATCH_RESULT = Record.new(
        field(:step_id, Types::Id), field(:status, Types::ReportStatus), optional(:output, Types::Any),
        optional(:error, Types::Map, record: STEP_ERROR, keep: true), optional(:metadata, Types::Map)
      )
      REJECTED_STEP = Record.new(
        field(:step_id, Types::Id), field(:attempt, Types::Ordinal), field(:reason, Types::Name),
        optional(:wait_seconds, Types::Seconds), optional(:message, Types::Text)
      )
      ACKED = Record.new(
        field(:batch_id, Types::Uuid), field(:sequences, Types::List, each: Types::Ordinal)
      )
      REJECTED_SEQUENCE = Record.new(
        field(:batch_id, Types::Uuid), field(:sequence, Types::Ordinal), field(:code, Types::Name)
      )
      LIMITS = Record.new(
        field(:batch_bytes,
              Types::PositiveMillis), field(:result_bytes, Types::PositiveMillis), field(:depth, Types::Id),
        optional(:inventory_bytes, Types::PositiveMillis)
      )
      START = [
        field(:session, Types::SessionId), field(:batch_id, Types::Uuid), field(:step_id, Types::Id),
        field(:attempt, Types::Ordinal), field(:n, Types::Id)
      ].freeze

      TO_ORCHESTRATOR = {
        'hello' => Record.new(
          *ENVELOPE, field(:worker_id, Types::Name), field(:session, Types::SessionId),
          field(:language, Types::Name), field(:sdk_version, Types::Name),
          field(:namespaces, Types::List, each: Types::Name),
          field(:handlers, Types::List, each: Types::Name),
          field(:capacity, Types::Ordinal), optional(:prefetch, Types::Ordinal), field(:host, Types::Name),
          field(:pid, Types::Count), *INVENTORY,
          optional(:previous_sessions, Types::List, each: Types::SessionId, drop_empty: true),
          optional(:hello_nonce, Types::Name)
        ),
        'ready' => Record.new(
          *ENVELOPE, field(:session, Types::SessionId), field(:nonce, Types::Name), *INVENTORY
        ),
        'worker_heartbeat' => Record.new(
          *ENVELOPE, field(:session, Types::SessionId), field(:seen_n, Types::Millis),
          field(:held, Types::List, record: STEP_REF), field(:running, Types::List, record: RUNNING_STEP),
          field(:unacked, Types::List, record: STEP_REF), field(:oldest_unacked_ms, Types::Millis),
          field(:free, Types::Millis)
        ),
        'batch_accepted' => Record.new(
          *ENVELOPE, field(:session, Types::SessionId), field(:batch_id, Types::Uuid)
        ),
        'batch_rejected' => Record.new(
          *ENVELOPE, field(:session, Types::SessionId), field(:batch_id, Types::Uuid),
          field(:sequence, Types::Ordinal), field(:steps, Types::List, record: REJECTED_STEP)
        ),
        'start_request' => Record.new(*ENVELOPE, *START),
        'goodbye' => Record.new(*ENVELOPE, field(:session, Types::SessionId), field(:reason, Types::Name)),
        'partial_result' => Record.new(
          *ENVELOPE, field(:batch_id, Types::Uuid), field(:step_id, Types::Id),
          optional(:attempt, Types::Ordinal), field(:status, Types::ReportStatus),
          optional(:output, Types::Any),
          optional(:error, Types::Map, record: STEP_ERROR, keep: true), field(:worker_id, Types::Name),
          optional(:session, Types::SessionId), optional(:sent_by, Types::SessionId),
          field(:sequence, Types::Ordinal), field(:timestamp, Types::Timestamp),
          field(:execution_time_ms, Types::Millis)
        ),
        'batch_completion' => Record.new(
          *ENVELOPE, field(:batch_id, Types::Uuid), field(:total_steps, Types::Count),
          field(:completed_steps, Types::Count), field(:failed_steps, Types::Count),
          field(:in_progress_steps, Types::Count), field(:step_summaries, Types::List, record: STEP_SUMMARY),
          optional(:total_execution_time_ms, Types::Millis), field(:completed_at, Types::Timestamp),
          field(:worker_id, Types::Name), optional(:session, Types::SessionId),
          optional(:sent_by, Types::SessionId), field(:sequence, Types::Ordinal)
        ),
        'step_batch_response' => Record.new(
          *ENVELOPE, field(:batch_id, Types::Uuid), field(:results, Types::List, record: STEP_BATCH_RESULT)
        )
      }.freeze

      TO_WORKER = {
        'step_batch_request' => Record.new(
          *FROM_ORCHESTRATOR, field(:batch_id, Types::Uuid), field(:handler_class, Types::Name),
          field(:steps, Types::List, record: STEP_REQUEST)
        ),
        'probe' => Record.new(*FROM_ORCHESTRATOR, field(:nonce, Types::Name)),
        'welcome' => Record.new(
          *FROM_ORCHESTRATOR, field(:session, Types::SessionId), field(:heartbeat_ms, Types::PositiveMillis),
          field(:lease_ms, Types::PositiveMillis), field(:resend_ms, Types::PositiveMillis),
          field(:limits, Types::Map, record: LIMITS), optional(:installation, Types::Name),
          optional(:hello_nonce, Types::Name),
          optional(:disconnect_grace_ms, Types::Millis), optional(:capacity, Types::Ordinal),
          optional(:prefetch, Types::Ordinal)
        ),
        'refused' => Record.new(
          *FROM_ORCHESTRATOR, field(:code, Types::Name), field(:message, Types::Text),
          field(:retry_ms, Types::Millis), optional(:hello_nonce, Types::Name)
        ),
        'ack' => Record.new(
          *FROM_ORCHESTRATOR, field(:session, Types::SessionId), field(:batches, Types::List, record: ACKED),
          field(:rejected, Types::List, record: REJECTED_SEQUENCE)
        ),
        'heartbeat' => Record.new(
          *FROM_ORCHESTRATOR, field(:n, Types::Millis), optional(:installation, Types::Name)
        ),
        'cancel' => Record.new(
          *FROM_ORCHESTRATOR, field(:session, Types::SessionId), field(:steps, Types::List, record: STEP_REF),
          field(:reason, Types::Name)
        ),
        'drain' => Record.new(
          *FROM_ORCHESTRATOR, field(:session, Types::SessionId), field(:deadline_ms, Types::Millis)
        ),
        'start_granted' => Record.new(*FROM_ORCHESTRATOR, *START, field(:start_window_ms, Types::Millis)),
        'start_denied' => Record.new(*FROM_ORCHESTRATOR, *START, field(:reason, Types::Name)),
        'report_request' => Record.new(
          *FROM_ORCHESTRATOR, field(:session, Types::SessionId), field(:batch_id, Types::Uuid),
          optional(:sequences, Types::List, each: Types::Ordinal, drop_empty: true),
          optional(:step_ids, Types::List, each: Types::Id, drop_empty: true)
        )
      }.freeze
    end
  end
end
