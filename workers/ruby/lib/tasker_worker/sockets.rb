# frozen_string_literal: true

require 'ffi-rzmq'

module TaskerWorker
  # ffi-rzmq declares every libzmq call as blocking, so each of them gives the interpreter lock away and
  # must queue for it again behind busy handlers. Calls that cannot block (DONTWAIT, accessors) are
  # declared here without that; only the poll lets go of the lock.
  module ZmqCalls
    extend FFI::Library
    ffi_lib 'libzmq.so.5'
    attach_function :zmq_msg_init, [:pointer], :int
    attach_function :zmq_msg_recv, %i[pointer pointer int], :int
    attach_function :zmq_msg_data, [:pointer], :pointer
    attach_function :zmq_msg_size, [:pointer], :size_t
    attach_function :zmq_msg_more, [:pointer], :int
    attach_function :zmq_msg_close, [:pointer], :int
    attach_function :zmq_send, %i[pointer buffer_in size_t int], :int
    attach_function :zmq_poll, %i[pointer int long], :int, blocking: true
    attach_function :zmq_strerror, [:int], :string
  end

  # Owns the two sockets of a worker: SUB connected to every steps endpoint, PUB to every results
  # endpoint. Used by the socket thread only.
  class Sockets
    # A call of libzmq failed in a way no retry mends.
    class Failure < Error; end

    RECONNECT_MS = 100
    RECONNECT_MAX_MS = 2000
    SEND_QUEUE = 10_000
    # How long closing may wait until what was sent last has left.
    LINGER_MS = 500
    POLL_ITEM_BYTES = 16
    MSG_BYTES = 64

    # A context that is collected while in use hangs the process at exit, hence the constant reference.
    CONTEXTS = [] # rubocop:disable Style/MutableConstant

    def initialize(steps_endpoints, results_endpoints, wake_fd, reconnect_max_ms: RECONNECT_MAX_MS)
      @reconnect_max_ms = reconnect_max_ms
      @steps_endpoints = steps_endpoints
      @results_endpoints = results_endpoints
      @context = ZMQ::Context.new
      CONTEXTS << @context
      @topics = []
      @message = FFI::MemoryPointer.new(:char, MSG_BYTES)
      check(ZmqCalls.zmq_msg_init(@message), 'zmq_msg_init')
      @items = FFI::MemoryPointer.new(:char, 2 * POLL_ITEM_BYTES)
      write_item(1, FFI::Pointer::NULL, wake_fd)
      open
    end

    # Subscribes to +topic+ (with its trailing space), now and after each `rebuild`.
    def subscribe(topic)
      @topics << topic
      check(@sub.setsockopt(ZMQ::SUBSCRIBE, topic), "subscribing to #{topic}")
    end

    # Waits until a message or the wake_up is there, at most +timeout_ms+ (0: only looks). A signal ends
    # the wait early. True when there is a message to receive.
    def poll(timeout_ms)
      return false if ZmqCalls.zmq_poll(@items, 2, timeout_ms) == -1 && failed('zmq_poll')

      @items.get_int16(14).positive?
    end

    # The next frame as binary String, nil when there is none. Frames of multipart messages, which this
    # protocol does not have, come back one by one.
    def receive
      if ZmqCalls.zmq_msg_recv(@message, @sub_pointer, ZMQ::DONTWAIT) == -1
        failed('zmq_msg_recv')
        return nil
      end
      ZmqCalls.zmq_msg_data(@message).read_bytes(ZmqCalls.zmq_msg_size(@message))
    end

    # Hands +frame+ to the PUB socket. Never blocks; that it arrives is what the outbox is for.
    def publish(frame)
      return unless ZmqCalls.zmq_send(@pub_pointer, frame, frame.bytesize, ZMQ::DONTWAIT) == -1

      failed('zmq_send')
    end

    # Closes both sockets and opens new ones: the cure for connections that libzmq believes alive.
    def rebuild
      close_sockets(0)
      open
      @topics.each { |topic| check(@sub.setsockopt(ZMQ::SUBSCRIBE, topic), "subscribing to #{topic}") }
    end

    # Lets what was published leave (LINGER_MS at most) and ends the context.
    def close
      close_sockets(LINGER_MS)
      ZmqCalls.zmq_msg_close(@message)
      @context.terminate
      CONTEXTS.delete(@context)
    end

    private

    def open
      @sub = socket(ZMQ::SUB)
      @pub = socket(ZMQ::PUB)
      # Options hold only for connections made after them. The subscriber takes everything: credit
      # bounds what can come, and a full queue would drop silently.
      options(@sub, ZMQ::RCVHWM => 0, ZMQ::LINGER => 0)
      options(@pub, ZMQ::SNDHWM => SEND_QUEUE, ZMQ::LINGER => LINGER_MS)
      @steps_endpoints.each { |endpoint| connect(@sub, endpoint) }
      @results_endpoints.each { |endpoint| connect(@pub, endpoint) }
      @sub_pointer = @sub.socket
      @pub_pointer = @pub.socket
      write_item(0, @sub_pointer, 0)
    end

    def socket(type)
      @context.socket(type) || raise(Failure, "cannot create a ZeroMQ socket: #{error_text}")
    end

    def options(socket, values)
      common = { ZMQ::RECONNECT_IVL => RECONNECT_MS, ZMQ::RECONNECT_IVL_MAX => @reconnect_max_ms,
                 ZMQ::TCP_KEEPALIVE => 1, ZMQ::TCP_KEEPALIVE_IDLE => 30, ZMQ::TCP_KEEPALIVE_INTVL => 10,
                 ZMQ::TCP_KEEPALIVE_CNT => 3 }
      common.merge(values).each do |name, value|
        check(socket.setsockopt(name, value), "socket option #{name}")
      end
    end

    # What libzmq does not take for an endpoint is a setting to mend, not a fault of the network: whether
    # anybody listens there shows later.
    def connect(socket, endpoint)
      # For addresses of IPv6 alone: with it, libzmq would look every name up in IPv6 first.
      check(socket.setsockopt(ZMQ::IPV6, endpoint.start_with?('tcp://[') ? 1 : 0), 'socket option IPV6')
      return unless socket.connect(endpoint) == -1

      raise ConfigurationError, "cannot connect to #{endpoint}: #{error_text}"
    end

    def close_sockets(linger_ms)
      [@sub, @pub].each do |socket|
        socket.setsockopt(ZMQ::LINGER, socket.equal?(@sub) ? 0 : linger_ms)
        socket.close
      end
    end

    # zmq_pollitem_t {void *socket; int fd; short events; short revents;}
    def write_item(index, pointer, descriptor)
      offset = index * POLL_ITEM_BYTES
      @items.put_pointer(offset, pointer)
      @items.put_int(offset + 8, descriptor)
      @items.put_int16(offset + 12, ZMQ::POLLIN)
      @items.put_int16(offset + 14, 0)
    end

    # Nothing there and a signal are no failures: true. Anything else raises.
    def failed(call)
      number = FFI.errno
      return true if [Errno::EAGAIN::Errno, Errno::EINTR::Errno].include?(number)

      raise Failure, "#{call}: #{ZmqCalls.zmq_strerror(number)}"
    end

    def check(code, what)
      raise Failure, "#{what}: #{error_text}" if code == -1
    end

    def error_text
      ZmqCalls.zmq_strerror(ZMQ::Util.errno)
    end
  end
end
