# frozen_string_literal: true

module TaskerWorker
  # Reads the project's version, which has one source: the file VERSION at the root of the checkout. `gem
  # build` puts a copy of it into the gem (tasker-worker.gemspec).
  module VersionFile
    # Where this library lies in a checkout, from its root.
    PLACE = '/workers/ruby'

    # +library+: the folder that holds lib/. The file's path; the file may be missing.
    def self.path(library = File.expand_path('../..', __dir__))
      root = library.delete_suffix(PLACE)
      in_checkout = File.join(root, 'VERSION')
      root != library && File.file?(in_checkout) ? in_checkout : File.join(library, 'VERSION')
    end

    def self.read(file = path) = File.read(file, encoding: Encoding::UTF_8).strip
  end

  # What hello and --version name.
  VERSION = VersionFile.read.freeze
end
